"""What single habits of the simulated carrier look like over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from services.simulator import simulator
from tests.integration.carriers import segments
from tests.integration.simulator import running

PHONES = [f"+3361234{number:04}" for number in range(100, 120)]


class Web:
    """A producer's end: it asks, and is called back."""

    def __init__(self) -> None:
        self.port = 0
        self.told: list[dict[str, object]] = []
        self.client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def take(self, request: web.Request) -> web.Response:
        self.told.append(await request.json())
        return web.Response(status=204)

    async def ask(self, phone: str, text: str = "Hello") -> tuple[int, dict[str, str]]:
        """The status and body of a submit."""
        async with self.client.post(
            f"http://127.0.0.1:{self.port}/http/messages",
            json={"to": phone, "from": "+33698765432", "text": text, "reference": "é"},
            headers={"Authorization": "Bearer secret"},
        ) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def asking(**options: object) -> AsyncIterator[tuple[simulator.Simulator, Web]]:
    """A carrier of these options, and who uses it."""
    end = Web()
    application = web.Application()
    application.router.add_post("/", end.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    wanted = running.options_with(callback_url=url, **{"inbound_url": url, **options})
    try:
        async with running.simulated(wanted) as carrier:
            end.port = carrier.http_port
            yield carrier, end
    finally:
        await end.client.close()
        await runner.cleanup()


async def test_a_poisoned_phone_is_busy() -> None:
    async with asking(poisoned_share=0.5) as (_, end):
        said = [await end.ask(phone) for phone in PHONES]
    assert {status for status, _ in said} == {202, 409}
    assert all(body == {"error": "recipient_busy"} for status, body in said if status == 409)


async def test_an_answer_is_cut_at_any_octet() -> None:
    async with asking(cut_share=1.0) as (carrier, end):
        for phone in PHONES:
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await end.ask(phone)
        assert carrier.carrier.journal.count == len(PHONES)


async def test_a_carrier_that_is_down_hangs_up_and_takes_nothing() -> None:
    async with asking() as (carrier, end):
        carrier.carrier.is_down = True
        with pytest.raises(aiohttp.ClientError):
            await end.ask(PHONES[0])
        assert carrier.carrier.journal.count == 0
        async with end.client.get(f"http://127.0.0.1:{end.port}/health/ready") as answer:
            assert answer.status == 200


async def test_a_phone_sends_back_what_it_gets_part_by_part() -> None:
    async with asking() as (carrier, end):
        await end.ask("+33612300012", "Where are you?")
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
    (sent,) = [each for each in end.told if "text" in each]
    assert sent == {"from": "+33612300012", "to": "+33698765432", "text": "Where are you?"}


async def test_phones_answer_beside_receipts() -> None:
    async with asking(inbound_share=1.0) as (carrier, end):
        await asyncio.gather(*(end.ask(phone) for phone in PHONES))
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
    assert sum("text" in each for each in end.told) >= len(PHONES)
    assert sum(each.get("reference") == "é" for each in end.told) == len(PHONES)


async def test_receipts_come_where_nobody_listens_to_phones() -> None:
    async with asking(inbound_share=1.0, inbound_url="") as (carrier, end):
        await end.ask("+33612300012")
        await asyncio.gather(*(end.ask(phone) for phone in PHONES))
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
    assert len(end.told) == len(PHONES) + 1
