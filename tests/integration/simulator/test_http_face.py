"""The simulated carrier over HTTP: the web API, its callbacks, counters and journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from services.simulator import simulator
from shared.carriers import contract, outcomes, registry
from shared.carriers.adapters import http
from shared.runtime import exits
from shared.sms import receipts
from tests.integration.carriers import segments
from tests.integration.simulator import running

Kind = outcomes.OutcomeKind


def settings(port: int, key: str = "secret") -> http.Settings:
    decoded = registry.settings(
        "http",
        {
            "url": f"http://127.0.0.1:{port}/http/messages",
            "secrets": {"key": key},
            "headers": {"Authorization": "Bearer {secret.key}"},
            "body": {
                "to": "{recipient}",
                "from": "{source}",
                "payload_hex": "{payload_hex}",
                "udh_hex": "{udh_hex}",
                "encoding": "{encoding}",
            },
            "id_path": "id",
            "error_path": "error",
            "timeout_seconds": 0.5,
            "callback": {
                "auth": "hmac",
                "secret": "shared",
                "id_field": "id",
                "state_field": "status",
                "code_field": "error",
                "states": {
                    "DELIVRD": "delivered",
                    "UNDELIV": "undelivered",
                    "EXPIRED": "expired",
                    "REJECTD": "rejected",
                },
            },
        },
    )
    assert isinstance(decoded, http.Settings)
    return decoded


class Inbox:
    """Stands where dlr's callback endpoint stands."""

    def __init__(self) -> None:
        self.receipts: asyncio.Queue[receipts.Receipt] = asyncio.Queue()
        self.failures = 0
        self.settings = settings(1)

    async def take(self, request: web.Request) -> web.Response:
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        admitted = http.admit_callback(
            self.settings,
            contract.CallbackRequest(
                "", request.headers, request.query, request.content_type, await request.read()
            ),
        )
        assert isinstance(admitted, tuple)
        for body in admitted:
            read = http.read_receipt(self.settings, body)
            assert read is not None
            self.receipts.put_nowait(read)
        return web.Response(status=204)

    async def next(self) -> receipts.Receipt:
        return await asyncio.wait_for(self.receipts.get(), 10)


@asynccontextmanager
async def simulated(inbox: Inbox) -> AsyncIterator[simulator.Simulator]:
    application = web.Application()
    application.router.add_post("/receipts", inbox.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    callback_url = f"http://127.0.0.1:{runner.addresses[0][1]}/receipts"
    wanted = running.options_with(callback_url=callback_url, callback_secret="shared")
    try:
        async with running.simulated(wanted) as carrier:
            yield carrier
    finally:
        await runner.cleanup()


@asynccontextmanager
async def linked(carrier: simulator.Simulator, key: str = "secret") -> AsyncIterator[contract.Link]:
    link = http.open_link(
        "practice", settings(carrier.http_port, key), segments.Sink(), segments.Inbox()
    )
    try:
        yield link
    finally:
        await link.close(1)


@pytest.mark.parametrize(
    ("ending", "kind", "state"),
    [
        ("00001", Kind.ACCEPTED, "delivered"),
        ("00002", Kind.ACCEPTED, "undelivered"),
        ("00003", Kind.ACCEPTED, "expired"),
        ("00004", Kind.ACCEPTED, "rejected"),
        ("00005", Kind.REJECTED, None),
        ("00006", Kind.THROTTLED, None),
        ("00007", Kind.LOST, "delivered"),
        ("00008", Kind.LOST, "delivered"),
        ("00009", Kind.ACCEPTED, "delivered"),
        ("12345", Kind.ACCEPTED, "delivered"),
    ],
)
async def test_the_recipient_decides_as_it_does_over_smpp(
    ending: str, kind: outcomes.OutcomeKind, state: str | None
) -> None:
    inbox = Inbox()
    async with simulated(inbox) as carrier, linked(carrier) as link:
        said = await asyncio.wait_for(
            segments.submit(link, segments.segment(f"+336123{ending}")), 10
        )
        assert said.kind is kind
        entries = carrier.carrier.journal.after(0, 10)[1]
        assert len(entries) == (state is not None)
        if state is not None:
            receipt = await inbox.next()
            assert (receipt.carrier_message_id, receipt.state) == (entries[0].id, state)
        if kind is Kind.ACCEPTED:
            assert said.carrier_message_id == entries[0].id


async def test_a_callback_is_repeated_until_it_is_taken() -> None:
    inbox = Inbox()
    inbox.failures = 2
    async with simulated(inbox) as carrier, linked(carrier) as link:
        said = await asyncio.wait_for(segments.submit(link, segments.segment()), 10)
        assert (await inbox.next()).carrier_message_id == said.carrier_message_id


async def test_a_text_of_several_parts_is_whole_in_the_journal() -> None:
    text = "Ж" * 150
    async with simulated(Inbox()) as carrier, linked(carrier) as link:
        for part in segments.segments(text=text):
            await asyncio.wait_for(segments.submit(link, part), 10)
        entries = carrier.carrier.journal.after(0, 10)[1]
    assert [entry.whole for entry in entries] == [None, None, text]
    assert {entry.face for entry in entries} == {"http"}


async def test_nothing_is_taken_when_the_key_is_wrong() -> None:
    async with simulated(Inbox()) as carrier, linked(carrier, "wrong") as link:
        said = await asyncio.wait_for(segments.submit(link, segments.segment()), 10)
        assert said.kind is Kind.HALTED
        assert carrier.carrier.journal.count == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"to": "1"}', b'{"to": "1", "from": "2", "payload_hex": "xyz"}']
)
async def test_a_body_is_refused_when_it_is_no_message(body: bytes) -> None:
    headers = {"Authorization": "Bearer secret"}
    async with running.simulated() as carrier, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{carrier.http_port}/http/messages"
        async with client.post(url, data=body, headers=headers) as response:
            assert response.status == 400


async def test_nothing_is_left_open_when_a_port_is_taken() -> None:
    async with running.simulated() as carrier:
        for taken in ({"http_port": carrier.http_port}, {"smpp_port": carrier.smpp_port}):
            with pytest.raises(exits.NotDone, match="Address already in use"):
                await simulator.serve(running.options_with(**taken))


@pytest.mark.parametrize("path", ["/journal", "/counters", "/counters/reset"])
@pytest.mark.parametrize(("token", "given"), [("t0ken", None), ("t0ken", "secret"), ("", "")])
async def test_texts_and_counts_are_not_for_a_neighbour(
    path: str, token: str, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    async with (
        running.simulated(running.options_with(token=token)) as carrier,
        aiohttp.ClientSession(f"http://127.0.0.1:{carrier.http_port}", headers=headers) as client,
    ):
        asked = await client.request("POST" if path.endswith("reset") else "GET", path)
        assert asked.status == 401
        assert await asked.json() == {"error": "unauthorized"}


async def test_counters_and_journal_are_shown_and_counters_reset() -> None:
    async with (
        running.simulated(running.options_with(token="t0ken")) as carrier,
        running.linked(carrier, binds=2) as link,
        aiohttp.ClientSession(
            f"http://127.0.0.1:{carrier.http_port}", headers={"Authorization": "Bearer t0ken"}
        ) as client,
    ):
        for number in range(5):
            await running.outcome(link, segments.segment(f"+3361234567{number}"))
        await running.outcome(link, segments.segment("+33612300005"))
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
        await segments.eventually(lambda: link.room == 20)
        shown = await (await client.get("/counters")).json()
        assert shown["accepted"] == shown["receipts_sent"] == shown["journal"] == 5
        assert shown["refused"] == shown["by_system_id"]["sluice"]["refused"] == 1
        assert (shown["binds"], shown["receipts_waiting"]) == (2, 0)
        page = await (await client.get("/journal", params={"after": "3"})).json()
        assert page["next"] == 5
        assert [each["recipient"] for each in page["entries"]] == ["+33612345673", "+33612345674"]
        assert (await client.get("/journal", params={"after": "x"})).status == 400
        assert (await client.post("/counters/reset")).status == 204
        shown = await (await client.get("/counters")).json()
        assert (shown["accepted"], shown["by_system_id"]) == (0, {})
        for path in ("/health/live", "/health/ready"):
            assert (await client.get(path)).status == 200
