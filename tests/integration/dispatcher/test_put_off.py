"""What no carrier has taken is tried again, ever later, and costs its line nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from services.dispatcher import record, retry
from services.dispatcher.dispatch import dispatch
from services.dispatcher.sweep import Sweeper
from shared.broker import envelopes
from shared.carriers import outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import audit, published
from shared.limits.limiter import Wait
from shared.runtime import ids
from tests.integration.dispatcher.carrier import ACCEPTED, REJECTED, desk_of, send, submitted
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town

THROTTLED = Outcome(OutcomeKind.THROTTLED)
DEFERRED = Outcome(OutcomeKind.DEFERRED, code="0x00000014", reason="the phone is switched off")


async def put_off(town: Town, item: envelopes.WorkItem) -> timedelta:
    """For how long the message waits until it is tried again."""
    delay: timedelta = await town.pool.fetchval(
        "SELECT ready_at - now() FROM work WHERE message_id = $1 AND state = 'scheduled'",
        item.message_id,
    )
    return delay


async def test_what_the_link_does_not_take_uses_up_no_try(town: Town) -> None:
    (item,) = await town.accept(1)
    for outcome in (THROTTLED, Outcome(OutcomeKind.HALTED), outcomes.UNAVAILABLE) * 2:
        await send(town, item, [outcome])
        assert timedelta(0) < await put_off(town, item) <= timedelta(seconds=1)
    assert await town.pool.fetchval("SELECT deferral_count FROM work") == 0


async def test_a_phone_that_is_not_reached_is_tried_ever_later_and_then_given_up(
    town: Town,
) -> None:
    # given a message to a phone that cannot be reached
    (item,) = await town.accept(1, segment_count=2)
    for seconds in (5, 10, 20, 40):
        await send(town, item, [DEFERRED])
        assert timedelta(seconds=seconds / 2) < await put_off(town, item)
        assert await put_off(town, item) <= timedelta(seconds=seconds)
    assert await town.used() == 0
    # when it has been tried for as often as it may be
    await town.pool.execute("UPDATE work SET deferral_count = $1", retry.DEFERRAL_COUNT_MAX - 1)
    await send(town, item, [DEFERRED])
    # then it is refused for that reason, with its other part, and paid back
    assert await town.states(item.message_id) == ["rejected", "canceled"]
    assert await town.pool.fetchval("SELECT count(*) FROM transfers WHERE kind = 'refund'") == 2
    assert await town.pool.fetchval("SELECT count(*) FROM work") == 0
    reasons = await town.pool.fetch("SELECT reason FROM parts WHERE part = 1")
    assert [row["reason"] for row in reasons] == [DEFERRED.reason]


async def test_the_carrier_s_own_time_is_heeded(town: Town) -> None:
    (item,) = await town.accept(1)
    await send(town, item, [Outcome(OutcomeKind.THROTTLED, retry_after_ms=90_000)])
    assert await put_off(town, item) > timedelta(seconds=80)


async def test_a_part_that_was_taken_lets_the_next_begin_anew(town: Town) -> None:
    (item,) = await town.accept(1, segment_count=2)
    for _ in range(4):
        await send(town, item, [DEFERRED])
    await send(town, item, [ACCEPTED, DEFERRED])
    assert await put_off(town, item) <= timedelta(seconds=5)


async def test_what_is_put_off_is_not_taken_for_published(town: Town) -> None:
    # given a message that was published, claimed, throttled and put off for longer than a lease
    (item,) = await town.accept(1)
    await send(town, item, [Outcome(OutcomeKind.THROTTLED, retry_after_ms=60_000)])
    # when the relay marks what it published
    async with town.pool.acquire() as opened:
        await published.mark(opened, [item.message_id], 1.5)
    # then it still waits for its time, and not to be found lost
    assert await put_off(town, item) > timedelta(seconds=50)


async def test_constant_throttling_eats_no_limit(town: Town) -> None:
    # given a line of ten an hour whose carrier throttles everything, again and again
    items = await town.accept(LINE_LIMIT, line=town.small)
    desk = desk_of(town)
    recorder = record.Recorder(desk)
    for _ in range(3):
        for item in items:
            await asyncio.wait_for(recorder.add(await submitted(town, item, THROTTLED)), 5)
        await asyncio.wait_for(recorder.drain(), 5)
    assert await town.used() == 0
    # when the carrier takes them, then all ten go, and not one more
    for item in items:
        await send(town, item, [ACCEPTED])
    assert await town.used() == LINE_LIMIT
    (verdict,) = await town.limiter.take(
        town.configured.current, await town.accept(1, line=town.small)
    )
    assert isinstance(verdict, Wait)


async def test_what_is_given_back_twice_counts_once(town: Town) -> None:
    # given five that the carrier took, and one that it throttled
    for item in await town.accept(5, line=town.small):
        await send(town, item, [ACCEPTED])
    (item,) = await town.accept(1, line=town.small)
    throttled = await submitted(town, item, THROTTLED)
    # when its answer is recorded twice, for the first commit was not heard of
    for _ in range(2):
        recorder = record.Recorder(desk_of(town))
        await asyncio.wait_for(recorder.add(throttled), 5)
        await asyncio.wait_for(recorder.drain(), 5)
    # then one token went back, in PostgreSQL and in Redis, and so it is after a wipe
    for _ in range(2):
        assert await town.used() == 5
        assert await town.room() == LINE_LIMIT - 5
        await town.redis.flushall()


@pytest.mark.parametrize(
    ("answers", "used_count"),
    [([REJECTED], 1), ([outcomes.LOST], 1), ([ACCEPTED, THROTTLED], 1), ([ACCEPTED, REJECTED], 2)],
)
async def test_what_a_carrier_may_have_stays_counted(
    town: Town, answers: list[Outcome], used_count: int
) -> None:
    (item,) = await town.accept(1, line=town.small, segment_count=3)
    await send(town, item, answers)
    assert await town.used() == used_count
    await town.redis.flushall()
    assert await town.room() == LINE_LIMIT - used_count


@pytest.mark.parametrize("beside", ["ready", "published", "parked"])
async def test_a_part_queued_again_beside_one_that_waits_goes_with_it(
    town: Town, beside: str
) -> None:
    # given a message whose first part is in doubt while its second waits
    (item,) = await town.accept(1, line=town.small, segment_count=2, at_least_once=True)
    await send(town, item, [outcomes.LOST])
    await town.pool.execute("UPDATE work SET state = $1, ready_at = now()", beside)
    if beside == "parked":
        await town.pool.execute(
            "INSERT INTO segments (message_id, part, state, carrier_id)"
            " SELECT message_id, 2, 'parked', carrier_id FROM messages"
            " ON CONFLICT (message_id, part) DO UPDATE SET state = 'parked'"
        )
        await town.pool.execute("UPDATE messages SET status = 'parked'")
        await town.pool.execute("INSERT INTO parked_lines VALUES ($1, now())", item.line_id)
    # when the doubt is submitted again
    await Sweeper(town.pool, ids.uuid7(), 0).resubmit()
    # then its row of work is about both parts, and the relay publishes it anew
    assert await town.states(item.message_id) == ["queued", "queued"]
    rows = await town.pool.fetch("SELECT state, segment_count FROM work")
    assert [tuple(row) for row in rows] == [("ready", 2)]
    # and an envelope from before, with a permit for one segment, sends nothing
    before = await town.used()
    old = await dispatch(desk_of(town), 1, [msgspec.structs.replace(item, segment_count=1)])
    assert (old.to_send, old.at_rest) == ([], {item.message_id})
    assert await town.used() == before
    # and one with permits for both sends both
    done = await dispatch(desk_of(town), 1, [item])
    assert [message.parts for message, _ in done.to_send] == [[1, 2]]
    assert await town.used() == before + 2


async def test_the_books_of_what_is_put_off_are_clean(town: Town) -> None:
    (doubtful,) = await town.accept(1, segment_count=2, at_least_once=True)
    (throttled,) = await town.accept(1)
    await send(town, doubtful, [outcomes.LOST])
    await send(town, throttled, [THROTTLED])
    await Sweeper(town.pool, ids.uuid7(), 0).resubmit()
    async with town.pool.acquire() as opened:
        findings = await audit.examine(opened)
    assert [finding.check.name for finding in findings if finding.is_breach] == []
