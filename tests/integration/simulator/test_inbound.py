"""What phones send at the simulated carrier: on request, and of themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from services.simulator import simulator
from shared.sms import inbound
from tests.integration.carriers import segments
from tests.integration.simulator import running

PHONE, LINE = "+33612345678", "36180"
LONG = "Да, я приду. " * 20


@asynccontextmanager
async def calling(carrier: simulator.Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    url = f"http://127.0.0.1:{carrier.http_port}"
    async with aiohttp.ClientSession(url) as client:
        yield client


def sent(text: str, phone: str = PHONE) -> dict[str, str]:
    return {"from": phone, "to": LINE, "text": text}


async def test_a_phone_sends_what_it_is_asked_to_in_parts_where_it_is_long() -> None:
    inbox = segments.Inbox()
    async with (
        running.simulated() as carrier,
        running.linked(carrier, None, inbox),
        calling(carrier) as client,
    ):
        # When two messages are asked for
        asked = await client.post("/inbound", json=sent("STOP"))
        assert (asked.status, await asked.json()) == (202, {"parts": 1})
        asked = await client.post("/inbound", json=sent(LONG))
        assert await asked.json() == {"parts": 4}
        await segments.eventually(lambda: len(inbox.parts) == 5)
        # Then they come as phones send them
        stop = next(part for part in inbox.parts if part.concatenation is None)
        assert (stop.sender, stop.recipient, stop.payload) == (PHONE, LINE, b"STOP")
        pieces = [
            inbound.Piece(said.number, part.alphabet, part.payload)
            for part in inbox.parts
            if (said := part.concatenation) is not None
        ]
        assert inbound.join(4, pieces).body == LONG
        # A part counts as sent once the simulator has heard our answer to it.
        await segments.eventually(lambda: carrier.carrier.counters.total().inbound_sent == 5)


async def test_what_is_not_taken_comes_again_and_what_comes_before_a_bind_waits_for_it() -> None:
    inbox = segments.Inbox(failures=2)
    async with running.simulated() as carrier, calling(carrier) as client:
        assert (await client.post("/inbound", json=sent("STOP"))).status == 202
        async with running.linked(carrier, None, inbox):
            await segments.eventually(lambda: len(inbox.parts) == 1)
        assert carrier.carrier.counters.total().inbound_repeated == 2


async def test_a_phone_sends_back_what_it_gets_when_its_number_asks_for_it() -> None:
    inbox = segments.Inbox()
    async with running.simulated() as carrier, running.linked(carrier, None, inbox) as link:
        for each in segments.segments("+33612300012", LONG, LINE):
            await running.outcome(link, each)
        await running.outcome(link, segments.segment("+33612300012", "to a name", "Sluice"))
        await segments.eventually(lambda: len(inbox.parts) == 4)
    assert {(part.sender, part.recipient) for part in inbox.parts} == {("+33612300012", LINE)}


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"STOP",
        b'{"from": "+33612345678", "to": "36180", "text": ""}',
        b'{"from": "+33\\u0000", "to": "36180", "text": "STOP"}',
        b'{"from": "+33612345678", "to": "", "text": "STOP"}',
        b'{"from": "+33612345678", "to": "36180", "text": "%b"}' % (b"x" * 2000),
    ],
)
async def test_what_no_phone_could_send_is_refused(body: bytes) -> None:
    async with running.simulated() as carrier, calling(carrier) as client:
        json_type = {"Content-Type": "application/json"}
        assert (await client.post("/inbound", data=body, headers=json_type)).status == 400
        # And a form of a page in a browser is not even read
        assert (await client.post("/inbound", data=body)).status == 415
        assert carrier.carrier.outbox.waiting_count == 0


async def test_nobody_is_sent_to_when_nobody_has_bound_and_anybody_may() -> None:
    async with (
        running.simulated(running.options_with(system_id="")) as carrier,
        calling(carrier) as client,
    ):
        assert (await client.post("/inbound", json=sent("STOP"))).status == 503
        inbox = segments.Inbox()
        async with running.linked(carrier, None, inbox):
            assert (await client.post("/inbound", json=sent("STOP"))).status == 202
            await segments.eventually(lambda: len(inbox.parts) == 1)
