"""A worker taken for dead comes back: what it says of an earlier submit undoes nothing."""

from __future__ import annotations

import asyncio

import pytest

from services.dispatcher import record, sending
from services.dispatcher.sweep import Sweeper
from shared.broker import envelopes
from shared.carriers import outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import segments, submits
from shared.runtime import ids
from shared.sms.states import SegmentState
from tests.integration.dispatcher.carrier import (
    ACCEPTED,
    REJECTED,
    THROTTLED,
    desk_of,
    submitted,
)
from tests.integration.dispatcher.conftest import CREDIT_MICRO, PRICE_MICRO, Town

SUBMITTING, IN_DOUBT, SUBMITTED = ["submitting"], ["in_doubt"], ["submitted"]


async def remember(town: Town, *ended: sending.Sending) -> None:
    recorder = record.Recorder(desk_of(town))
    for each in ended:
        await asyncio.wait_for(recorder.add(each), 5)


async def take_for_dead(town: Town) -> None:
    """What every silent worker was submitting is in doubt, as a sweep says it."""
    async with town.pool.acquire() as opened, opened.transaction():
        found = await submits.abandoned(opened, 0, 10)
        await segments.settle_all(opened, found, SegmentState.IN_DOUBT)


async def resubmit(town: Town) -> None:
    await Sweeper(town.pool, ids.uuid7(), 0).resubmit()


@pytest.mark.parametrize(
    "late", [REJECTED, THROTTLED, outcomes.UNAVAILABLE, outcomes.LOST], ids=lambda o: o.kind
)
async def test_a_late_word_about_an_earlier_submit_moves_nothing(town: Town, late: Outcome) -> None:
    # given a submit whose worker was taken for dead, made again by another worker
    (item,) = await town.accept(1, at_least_once=True)
    first = await submitted(town, item, late)
    await take_for_dead(town)
    await resubmit(town)
    second = await submitted(town, item, ACCEPTED)
    # when the first comes back and records its answer, before the second has recorded its own
    await remember(town, first)
    # then the second submit still stands, nothing waits and nothing is refunded
    assert await town.states(item.message_id) == SUBMITTING
    assert await town.waiting() == {}
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO
    # and the second's answer is the one that counts
    await remember(town, second)
    assert await town.states(item.message_id) == SUBMITTED


async def test_a_late_proof_of_acceptance_still_counts(town: Town) -> None:
    # given a submit in doubt, made again by another worker
    (item,) = await town.accept(1, at_least_once=True)
    first = await submitted(town, item, Outcome(OutcomeKind.ACCEPTED, "of-the-first"))
    await take_for_dead(town)
    await resubmit(town)
    second = await submitted(town, item, REJECTED)
    # when the first worker's word is that the carrier took it, and the second's that it did not
    await remember(town, first)
    assert await town.states(item.message_id) == SUBMITTED
    await remember(town, second)
    # then the phone may have it, so it is paid for
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO


@pytest.mark.parametrize("answer", [ACCEPTED, REJECTED, THROTTLED, outcomes.LOST])
async def test_an_answer_recorded_twice_changes_nothing(town: Town, answer: Outcome) -> None:
    # given a commit whose answer was lost: the recorder records once more
    (item,) = await town.accept(1)
    ended = await submitted(town, item, answer)
    await remember(town, ended)
    before = await _books(town, item)
    await remember(town, ended)
    assert await _books(town, item) == before


async def test_an_answer_recorded_twice_undoes_no_later_submit(town: Town) -> None:
    # given a throttled submit, recorded, and made again
    (item,) = await town.accept(1)
    throttled = await submitted(town, item, THROTTLED)
    await remember(town, throttled)
    again = await submitted(town, item, ACCEPTED)
    # when the first answer is recorded once more
    await remember(town, throttled)
    # then the second submit is under way all the same, and not queued beside it
    assert await town.states(item.message_id) == SUBMITTING
    assert await town.waiting() == {}
    await remember(town, again)
    assert await town.states(item.message_id) == SUBMITTED


async def test_at_least_once_is_never_a_third_time(town: Town) -> None:
    # given a doubt that was submitted again, and is in doubt again
    (item,) = await town.accept(1, at_least_once=True)
    first = await submitted(town, item, THROTTLED)
    await take_for_dead(town)
    await resubmit(town)
    second = await submitted(town, item, outcomes.LOST)
    await remember(town, second)
    # when the first worker comes back with the proof that its submit was not taken
    await remember(town, first)
    await resubmit(town)
    # then two is what there was
    assert await town.waiting() == {}
    assert await town.states(item.message_id) == IN_DOUBT


async def _books(town: Town, item: envelopes.WorkItem) -> tuple[object, ...]:
    segment = await town.pool.fetchrow(
        "SELECT * FROM segments WHERE message_id = $1", item.message_id
    )
    events = await town.pool.fetchval("SELECT count(*) FROM all_events")
    return segment, events, await town.waiting(), await town.balance_micro()
