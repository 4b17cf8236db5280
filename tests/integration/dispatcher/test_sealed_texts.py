"""A11: a text that is not to be kept is sealed while it may be submitted, and gone with that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from services.dispatcher import claim
from services.dispatcher.sweep import Sweeper
from shared.access.keys import Keys
from shared.access.seals import Seals
from shared.broker import envelopes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import messages, sealed_texts, segments, submits, work
from shared.limits.limiter import Permit
from shared.runtime import ids
from shared.sms.states import SegmentState
from tests.integration.dispatcher.carrier import ACCEPTED, REJECTED, THROTTLED, desk_of, send
from tests.integration.dispatcher.conftest import CREDIT_MICRO, Town
from tests.keys import SEALS, SECRET_KEY

LOST = Outcome(OutcomeKind.LOST)


async def sealed_count(town: Town) -> int:
    return int(await town.pool.fetchval("SELECT count(*) FROM sealed_texts"))


async def stored_body(town: Town, message_id: UUID) -> str:
    return str(
        await town.pool.fetchval("SELECT body FROM messages WHERE message_id = $1", message_id)
    )


async def granted(town: Town, items: list[envelopes.WorkItem]) -> list[claim.Granted]:
    """The messages with their permits."""
    verdicts = await town.limiter.take(town.configured.current, items)
    return [
        (item, verdict)
        for item, verdict in zip(items, verdicts, strict=True)
        if isinstance(verdict, Permit)
    ]


async def test_the_carrier_gets_the_text_and_then_it_is_nowhere_any_more(town: Town) -> None:
    # Given a message whose text is not to be kept, and one whose text is
    (item,) = await town.accept(1, store_body=False)
    (kept,) = await town.accept(1)
    assert (await stored_body(town, item.message_id), await sealed_count(town)) == ("", 1)

    # When both are sent
    carrier = await send(town, item, [ACCEPTED])
    await send(town, kept, [ACCEPTED])

    # Then the text has reached the carrier, and was erased when its answer was recorded
    (segment,) = carrier.submitted
    assert bytes(segment.payload) == b"x" * 160
    assert await town.status(item.message_id) == "submitted"
    assert (await stored_body(town, item.message_id), await sealed_count(town)) == ("", 0)
    assert await stored_body(town, kept.message_id) == "x" * 160
    async with town.pool.acquire() as opened:
        shown = [await messages.get(opened, 1, each.message_id) for each in (item, kept)]
    assert [each and each.body_stored for each in shown] == [False, True]


@pytest.mark.parametrize("outcome", [THROTTLED, LOST, Outcome(OutcomeKind.UNAVAILABLE)])
async def test_it_stays_sealed_while_the_message_may_be_submitted_again(
    town: Town, outcome: Outcome
) -> None:
    # Given a message that asks for at_least_once and was not taken, or perhaps was
    (item,) = await town.accept(1, store_body=False, at_least_once=True)
    await send(town, item, [outcome])
    assert await sealed_count(town) == 1
    if outcome is LOST:
        sweeper = Sweeper(town.pool, ids.uuid7(), 0.0)
        await sweeper.resubmit()

    # When it is sent again
    carrier = await send(town, item, [ACCEPTED])

    # Then with the same text, which is gone after that
    (segment,) = carrier.submitted
    assert bytes(segment.payload) == b"x" * 160
    assert await sealed_count(town) == 0


async def test_the_text_of_several_parts_goes_with_the_last_of_them(town: Town) -> None:
    # Given a message of three parts, the second of which is put off
    (item,) = await town.accept(1, store_body=False, segment_count=3)
    await send(town, item, [ACCEPTED, THROTTLED])
    assert await town.states(item.message_id) == ["submitted", "queued", "queued"]
    assert await sealed_count(town) == 1

    # When the rest is sent
    rest = envelopes.WorkItem(item.message_id, 1, item.line_id, "FR", 2, 0)
    carrier = await send(town, rest, [ACCEPTED, ACCEPTED])

    # Then it was there to be cut, and is gone
    assert [segment.part for segment in carrier.submitted] == [2, 3]
    assert await sealed_count(town) == 0


async def expire(town: Town, item: envelopes.WorkItem) -> None:
    async with town.pool.acquire() as opened, opened.transaction():
        await work.take(opened, [item.message_id])
        await claim.expire(opened, [item.message_id])


async def cancel(town: Town, item: envelopes.WorkItem) -> None:
    async with town.pool.acquire() as opened, opened.transaction():
        await work.take(opened, [item.message_id])
        await claim.cancel(opened, [item.message_id])


async def reject(town: Town, item: envelopes.WorkItem) -> None:
    await send(town, item, [REJECTED])


async def lose(town: Town, item: envelopes.WorkItem) -> None:
    """In doubt for good, until its deadline passes."""
    await send(town, item, [LOST])
    assert await sealed_count(town) == 1
    async with town.pool.acquire() as opened, opened.transaction():
        await segments.settle(opened, [segments.Evidence(item.message_id, 1, SegmentState.UNKNOWN)])


@pytest.mark.parametrize("end", [expire, cancel, reject, lose])
async def test_whatever_ends_the_message_ends_its_text(
    town: Town, end: Callable[[Town, envelopes.WorkItem], Awaitable[None]]
) -> None:
    (item,) = await town.accept(1, store_body=False)
    assert await sealed_count(town) == 1

    await end(town, item)

    assert await town.status(item.message_id) not in ("queued", "in_doubt", "submitted")
    assert await sealed_count(town) == 0


async def test_a_status_moved_by_the_release_before_erases_it_as_well(town: Town) -> None:
    # Given that whoever moves a status knows nothing of sealed texts
    (item,) = await town.accept(1, store_body=False)

    await town.pool.execute(
        "UPDATE messages SET status = 'rejected' WHERE message_id = $1", item.message_id
    )

    assert await sealed_count(town) == 0


async def test_what_a_dead_worker_had_claimed_goes_out_after_all_and_its_text_goes_too(
    town: Town,
) -> None:
    # Given a worker that has claimed a message, read its text, and died
    (item,) = await town.accept(1, store_body=False, at_least_once=True)
    dead = desk_of(town)
    live = await claim.claim(town.pool, SEALS, dead.worker_id, 1, await granted(town, [item]))
    assert [message.body for message in live] == ["x" * 160]

    # When it is taken for dead, and its doubt submitted again
    async with town.pool.acquire() as opened, opened.transaction():
        found = await submits.abandoned(opened, -1.0, 10)
        await segments.settle_all(opened, found, SegmentState.IN_DOUBT)
    assert await sealed_count(town) == 1
    await Sweeper(town.pool, ids.uuid7(), 0.0).resubmit()
    carrier = await send(town, item, [ACCEPTED])

    # Then the carrier has the text, and nobody else
    assert bytes(carrier.submitted[0].payload) == b"x" * 160
    assert await sealed_count(town) == 0


async def test_a_text_whose_key_is_gone_ends_its_message_which_costs_nothing(town: Town) -> None:
    # Given a message whose text was sealed under a key that this dispatcher was never told
    items = await town.accept(2, store_body=False, line=town.small)
    strange, readable = items
    async with town.pool.acquire() as opened, opened.transaction():
        await sealed_texts.erase(opened, [strange.message_id])
        other = Seals(Keys.read("another platform's key that is long enough"))
        await sealed_texts.keep_of_messages(opened, other, {strange.message_id: "secret"})
    room = await town.room()

    # When both are claimed
    desk = desk_of(town)
    live = await claim.claim(town.pool, SEALS, desk.worker_id, 1, await granted(town, items))

    # Then the one is to be sent, and the other has failed, is refunded and charged to no limit
    assert [message.message_id for message in live] == [readable.message_id]
    assert await town.states(strange.message_id) == ["failed"]
    assert await town.balance_micro() == CREDIT_MICRO - 45_300
    assert await town.used() == 1
    assert await town.room() < room


async def test_the_sweep_erases_what_an_ended_message_should_ever_have_left(town: Town) -> None:
    # Given a text whose message has ended, one whose message waits, one of a message that is gone
    ended, waits = await town.accept(2, store_body=False)
    await send(town, ended, [ACCEPTED])
    async with town.pool.acquire() as opened, opened.transaction():
        left = {ended.message_id: "left", ids.uuid7(): "of nobody"}
        await sealed_texts.keep_of_messages(opened, SEALS, left)

    await sealed_texts.sweep(town.pool, SEALS)

    found = await town.pool.fetch("SELECT subject_id FROM sealed_texts")
    assert [row["subject_id"] for row in found] == [waits.message_id]


async def test_a_key_that_is_to_go_is_needed_no_more_when_texts_were_sealed_again(
    town: Town,
) -> None:
    # Given messages on their way, and a platform with a new key that signs
    items = await town.accept(3, store_body=False)
    new = "a new key of the platform and long enough"

    # When dlr has sealed their texts again
    both = Seals(Keys.read(f"{new},{SECRET_KEY}"))
    assert await sealed_texts.sweep(town.pool, both) == len(items)
    assert await sealed_texts.sweep(town.pool, both) == 0

    # Then the new key alone opens them, and the old one does not
    async with town.pool.acquire() as opened:
        message_ids = [item.message_id for item in items]
        by_new = await sealed_texts.opened(opened, Seals(Keys.read(new)), message_ids)
        by_old = await sealed_texts.opened(opened, SEALS, message_ids)
    assert (set(by_new.values()), by_old) == ({b"x" * 160}, {})
