"""Messages that are wanted at another time, or not at all, while dispatchers claim them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.dispatcher import park
from services.dispatcher.dispatch import dispatch
from shared.broker.envelopes import WorkItem
from shared.carriers import outcomes
from shared.db import recall, work
from shared.db.recall import RecallResult
from shared.limits.limiter import Wait
from tests.integration.dispatcher.carrier import desk_of, send
from tests.integration.dispatcher.conftest import CREDIT_MICRO, PRICE_MICRO, Town
from tests.integration.dispatcher.timelines import told, traced

TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def _cancel(town: Town, item: WorkItem) -> RecallResult:
    async with town.pool.acquire() as opened, opened.transaction():
        return await recall.cancel(opened, 1, item.message_id)


async def test_whatever_waits_is_canceled_and_refunded_once(town: Town) -> None:
    # Given messages that wait for their time, the relay, and their line; one of several parts
    (scheduled,) = await town.accept(1, send_at=TOMORROW)
    (ready,) = await town.accept(1, segment_count=3)
    (parked,) = await town.accept(1, line=town.small)
    await park.park(town.pool, [(parked, Wait(1_000))])
    # When each is canceled by many at once
    for item in (scheduled, ready, parked):
        assert set(await asyncio.gather(*(_cancel(town, item) for _ in range(4)))) == {
            RecallResult.DONE
        }
    # Then each is so once: one event, its money back, and its trace tells it
    assert await town.waiting() == {}
    assert await town.balance_micro() == CREDIT_MICRO
    for item in (scheduled, ready, parked):
        assert set(await town.states(item.message_id)) == {"canceled"}
        trace = await traced(town, item)
        assert [each.state for each in told(trace, "event")][-1:] == ["canceled"]
        assert len(told(trace, "refunded")) == item.segment_count
        assert told(trace, "ended")[0].reason == recall.REASON


async def test_of_a_claim_and_a_cancellation_exactly_one_has_the_message(town: Town) -> None:
    # Given many messages, each claimed and canceled at the same moment
    items = await town.accept(200)
    desk = desk_of(town)
    claims = [asyncio.create_task(dispatch(desk, 1, items[n : n + 10])) for n in range(0, 200, 10)]
    outcomes_ = await asyncio.gather(*(_cancel(town, item) for item in items))
    sent = {
        claimed.message_id
        for done in [await each for each in claims]
        for claimed, _ in done.to_send
    }
    canceled = {
        item.message_id
        for item, recalled in zip(items, outcomes_, strict=True)
        if recalled is RecallResult.DONE
    }
    # Then each is one of the two, both have happened, and only what is canceled is refunded
    assert sent | canceled == {item.message_id for item in items}
    assert sent & canceled == set()
    assert await town.balance_micro() == CREDIT_MICRO - len(sent) * PRICE_MICRO


async def test_what_may_have_left_stays(town: Town) -> None:
    # Given a doubt that is to be submitted again, and one part of a message that is put off
    (lost,) = await town.accept(1, at_least_once=True)
    await send(town, lost, [outcomes.LOST])
    (halved,) = await town.accept(1, segment_count=2)
    throttled = outcomes.Outcome(outcomes.OutcomeKind.THROTTLED)
    await send(town, halved, [outcomes.Outcome(outcomes.OutcomeKind.ACCEPTED, "a"), throttled])
    async with town.pool.acquire() as opened, opened.transaction():
        await town.pool.execute("UPDATE segments SET state = 'queued' WHERE state = 'in_doubt'")
        await work.requeue(opened, [work.Deferral(lost.message_id)])
    # When somebody wants them back
    assert await _cancel(town, lost) is RecallResult.TOO_LATE
    assert await _cancel(town, halved) is RecallResult.TOO_LATE
    # Then they wait on
    assert set(await town.waiting()) == {lost.message_id, halved.message_id}


async def test_what_was_throttled_has_not_left(town: Town) -> None:
    (item,) = await town.accept(1)
    await send(town, item, [outcomes.Outcome(outcomes.OutcomeKind.THROTTLED)])
    assert await _cancel(town, item) is RecallResult.DONE
    assert await town.balance_micro() == CREDIT_MICRO


async def test_a_message_moves_to_another_time_until_its_own_has_come(town: Town) -> None:
    # Given a message that waits for tomorrow
    (item,) = await town.accept(1, send_at=TOMORROW, valid_seconds=600)
    later = TOMORROW + timedelta(hours=3)
    # When it is moved, then it waits until then and is valid for as long as before
    assert await _reschedule(town, item.message_id, later) is RecallResult.DONE
    assert await _times(town, item.message_id) == (later, later + timedelta(seconds=600))
    # And back to now, then it goes
    assert await _reschedule(town, item.message_id, datetime.now(UTC)) is RecallResult.DONE
    async with town.pool.acquire() as opened:
        assert await work.take_due(opened, 10) == [item.message_id]
    # And stays as it is from then on; its trace knows each of its times
    assert await _reschedule(town, item.message_id, later) is RecallResult.TOO_LATE
    trace = await traced(town, item)
    (accepted,) = told(trace, "accepted")
    assert accepted.until == TOMORROW
    assert [each.until for each in told(trace, "rescheduled")][:1] == [later]


async def test_what_is_put_off_does_not_wait_for_a_time_of_its_own(town: Town) -> None:
    (item,) = await town.accept(1)
    await send(town, item, [outcomes.Outcome(outcomes.OutcomeKind.THROTTLED)])
    assert list((await town.waiting()).values()) == ["scheduled"]
    assert await _reschedule(town, item.message_id, TOMORROW) is RecallResult.TOO_LATE


async def _reschedule(town: Town, message_id: UUID, send_at: datetime) -> RecallResult:
    async with town.pool.acquire() as opened, opened.transaction():
        return await recall.reschedule(opened, 1, message_id, send_at)


async def _times(town: Town, message_id: UUID) -> tuple[datetime, datetime]:
    """When it is to be sent, and its end, as its work and the message itself say."""
    (row,) = await town.pool.fetch(
        "SELECT w.ready_at, w.expires_at, (w.ready_at, w.expires_at) = (m.send_at, m.expires_at)"
        " FROM work w JOIN messages m USING (message_id) WHERE message_id = $1",
        message_id,
    )
    assert row[2]
    return row[0], row[1]
