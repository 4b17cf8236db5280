"""PostgreSQL has no room on its disk for a while: what is known is held, nothing new is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from services.dispatcher.lane import Lane
from services.dispatcher.record import Recorder
from shared.broker import envelopes
from shared.carriers import contract
from shared.rules import snapshot
from tests.integration.dispatcher.carrier import ACCEPTED, Delivered, ScriptedCarrier, desk_of
from tests.integration.dispatcher.conftest import Town

_FILL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER full_disk BEFORE UPDATE ON segments EXECUTE FUNCTION refuse();
CREATE TRIGGER full_disk BEFORE INSERT ON submits EXECUTE FUNCTION refuse()"""


class PatientCarrier(ScriptedCarrier):
    """It answers when the test says so."""

    def __init__(self) -> None:
        super().__init__([])
        self.waiting: list[contract.OnOutcome] = []

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        self.submitted.append(segment)
        self.waiting.append(on_outcome)


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


@pytest.fixture
async def owner(town: Town, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Who may do to the tables what no service may."""
    connection = await asyncpg.connect(database_url, timeout=10)
    yield connection
    await connection.close(timeout=10)


async def test_answers_outlive_a_full_disk_and_nothing_new_is_taken_meanwhile(
    town: Town, owner: asyncpg.Connection
) -> None:
    # given submits under way
    desk = desk_of(town)
    link = PatientCarrier()
    lane = Lane(desk, Recorder(desk), snapshot.Carrier(1, "practice", "smpp", 0, {}), link)
    running = asyncio.create_task(lane.run())
    first, second = await town.accept(3), await town.accept(3)
    delivered = [Delivered(envelopes.encode_work(items)) for items in (first, second)]
    lane.receive(1, delivered[0])
    await until(lambda: len(link.submitted) == 3)
    # when the disk is full while they are answered and more is delivered
    await owner.execute(_FILL)
    for on_outcome in link.waiting:
        on_outcome(ACCEPTED)
    lane.receive(1, delivered[1])
    await asyncio.sleep(1.5)
    # then nothing is acknowledged, submitted, or given up
    assert [each.settled for each in delivered] == [False, False]
    assert len(link.submitted) == 3
    assert not running.done()
    # and when there is room again, all of it goes its way
    await owner.execute("DROP FUNCTION refuse CASCADE")
    await until(lambda: len(link.waiting) == 6)
    for on_outcome in link.waiting[3:]:
        on_outcome(ACCEPTED)
    await until(lambda: all(each.settled for each in delivered))
    states = {state for item in (*first, *second) for state in await town.states(item.message_id)}
    assert states == {"submitted"}
    await lane.drain()
    running.cancel()
