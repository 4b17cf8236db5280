"""One account's bad numbers are nobody else's business."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import pytest

from services.dispatcher.lane import Lane
from services.dispatcher.record import Recorder
from shared.broker import envelopes
from shared.carriers import registry
from shared.db import apply
from shared.rules import snapshot
from shared.smpp import codes, pdu
from tests.chaos.own_carrier import OwnCarrier
from tests.integration.dispatcher.carrier import Delivered, desk_of
from tests.integration.dispatcher.conftest import Town

COUNT = int(os.environ.get("SLUICE_TEST_POISONED_COUNT", "300"))
"""Of good messages; a tenth of that are poisoned."""
SLOWER_FACTOR = 1.2
FINDING_SECONDS = 0.0 if COUNT >= 2_000 else 0.7
"""What it takes once to find out; of few messages it would be much."""
POISONED = "+33612340666"
MEASURED_COUNT_MAX = 3
"""Noise of a machine that other things run on comes and goes; who is held up stays so."""
CLUMP = 10
"""So many poisoned in a row, before so many times ten good ones."""


class Way:
    """A lane over SMPP, and the time that messages need on it."""

    def __init__(self, town: Town, reached: OwnCarrier) -> None:
        self._town = town
        self._reached = reached

    async def seconds_for(self, good_count: int, poisoned_count: int) -> float:
        """From the first to the last of the good ones that the carrier has taken."""
        good = await self._town.accept(good_count, line=self._town.large)
        bad = await self._town.accept(poisoned_count)
        await self._town.pool.execute(
            "UPDATE messages SET recipient = $1, sender = 'Bad' WHERE message_id = ANY ($2)",
            POISONED,
            [item.message_id for item in bad],
        )
        async with asyncio.timeout(60):
            return await self._timed(good, [_of_another(item) for item in bad])

    async def _timed(self, good: list[envelopes.WorkItem], bad: list[envelopes.WorkItem]) -> float:
        async with self._reached.listening() as port:
            settings = {
                "host": "127.0.0.1",
                "port": port,
                "system_id": "sluice",
                "password": "secret",
                "window": 5,
            }
            decoded = registry.settings("smpp", settings)
            link = registry.adapter("smpp").open_link("practice", decoded, _nowhere, _nobody)
            desk = desk_of(self._town)
            recorder = Recorder(desk)
            lane = Lane(desk, recorder, snapshot.Carrier(1, "practice", "smpp", 0, settings), link)
            before = len(self._reached.submits)
            running = asyncio.create_task(lane.run())
            while good:
                clump = [bad.pop() for _ in range(min(CLUMP, len(bad)))]
                lane.receive(1, Delivered(envelopes.encode_work(clump + good[: 10 * CLUMP])))
                good = good[10 * CLUMP :]
            taken_at: list[float] = []
            while len(taken_at) < COUNT:
                await asyncio.sleep(0.02)
                taken_at = [each.at for each in self._reached.submits[before:] if not each.status]
            running.cancel()
            await link.close(1.0)
            await recorder.drain()
        return taken_at[-1] - taken_at[0]


def _of_another(item: envelopes.WorkItem) -> envelopes.WorkItem:
    """As if another account had sent it: the limiter's and the lane's view."""
    return envelopes.WorkItem(
        item.message_id, 2, item.line_id, item.country, item.segment_count, item.expires_at_ms
    )


def _nowhere(_body: bytes) -> asyncio.Future[None]:
    raise AssertionError("no receipts")


def _nobody(_part: object, _there: object) -> asyncio.Future[None]:
    raise AssertionError("nothing inbound")


@pytest.mark.parametrize("status", [codes.ESME_RMSGQFUL, codes.ESME_RTHROTTLED])
async def test_poisoned_numbers_of_one_account_do_not_slow_another(
    town: Town, status: int, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url, timeout=10)
    async with connection.transaction():
        await apply.put(connection, apply.Credit("demo", "EUR", 1_000_000_000), None)
    await connection.close(timeout=10)

    # given a carrier that cannot reach one number, and says so in its way
    def decide(submit: pdu.SubmitSm) -> int:
        return status if submit.destination_addr == POISONED[1:] else codes.ESME_ROK

    reached = OwnCarrier(0.05, decide)
    way = Way(town, reached)
    # when one account sends alone, and then beside another that sends to that number
    for _ in range(MEASURED_COUNT_MAX):
        reached.submits.clear()
        alone = await way.seconds_for(COUNT, 0)
        beside = await way.seconds_for(COUNT, COUNT // 10)
        tries = sum(each.status == status for each in reached.submits)
        print(f"0x{status:02X}: alone {alone:.2f} s, beside {beside:.2f} s, {tries} tries in vain")
        if beside <= SLOWER_FACTOR * alone + FINDING_SECONDS:
            break
    # then it hardly notices
    assert tries >= COUNT // 10
    assert beside <= SLOWER_FACTOR * alone + FINDING_SECONDS
