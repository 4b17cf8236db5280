"""The first word of a segment: until then it has no row, and stands where its message does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.dispatcher import park
from shared.carriers import outcomes
from shared.db import segments
from shared.ledger import refunds
from shared.limits.limiter import Wait
from shared.runtime import ids
from shared.sms import states
from shared.sms.states import SegmentState
from tests import claims
from tests.integration.dispatcher.carrier import ACCEPTED, THROTTLED, send
from tests.integration.dispatcher.conftest import Town

_TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def _written(town: Town) -> int:
    return int(await town.pool.fetchval("SELECT count(*) FROM segments"))


async def test_a_segment_that_waits_or_is_being_submitted_has_no_row(town: Town) -> None:
    # Given messages of two segments: one accepted, one for tomorrow, one claimed
    (queued, claimed) = await town.accept(2, segment_count=2)
    (scheduled,) = await town.accept(1, segment_count=2, send_at=_TOMORROW)
    async with town.pool.acquire() as opened:
        await claims.claim(opened, [claimed.message_id], ids.uuid7())
    # Then nothing is written of them, and each stands where it is
    assert await _written(town) == 0
    assert await town.states(queued.message_id) == ["queued"] * 2
    assert await town.states(scheduled.message_id) == ["scheduled"] * 2
    assert await town.states(claimed.message_id) == ["submitting"] * 2


@pytest.mark.parametrize("stands", ["queued", "scheduled", "submitting"])
async def test_the_first_word_moves_a_segment_as_the_table_says(town: Town, stands: str) -> None:
    for first in SegmentState:
        await _told(town, stands, first)


async def _told(town: Town, stands: str, first: SegmentState) -> None:
    # Given a segment of which nothing is written
    (item,) = await town.accept(1, send_at=_TOMORROW if stands == "scheduled" else None)
    if stands == "submitting":
        async with town.pool.acquire() as opened:
            await claims.claim(opened, [item.message_id], ids.uuid7())
    # When the first word of it comes
    word = segments.Evidence(item.message_id, 1, first, code="7", reason="so it is")
    async with town.pool.acquire() as opened, opened.transaction():
        settled = await segments.settle_answers(opened, [word])
    # Then it stands there if the table lets it go there, and where it stood if not
    moved = first in states.MOVES[SegmentState(stands)]
    found = await town.pool.fetch(
        "SELECT state, code, reason FROM segments WHERE message_id = $1", item.message_id
    )
    assert [tuple(row) for row in found] == ([(first, "7", "so it is")] if moved else []), first
    # And what ended unsent is told once, and refunded
    unsent = moved and (first == "queued" or first in refunds.ENDED_UNSENT)
    assert [(each.state, each.by_this) for each in settled.unsent] == (
        [(first, stands == "submitting")] if unsent else []
    ), first
    refund_count = await town.pool.fetchval(
        "SELECT count(*) FROM transfers WHERE kind = 'refund' AND message_id = $1", item.message_id
    )
    assert refund_count == (moved and first in refunds.ENDED_UNSENT), first


async def test_parts_of_one_message_are_written_one_by_one(town: Town) -> None:
    # Given a message of three parts: one accepted, one whose answer is lost, one throttled
    (item,) = await town.accept(1, segment_count=3)
    await send(town, item, [ACCEPTED, outcomes.LOST, THROTTLED])
    # Then each has its word, and the message stands as all of them do
    assert await town.states(item.message_id) == ["submitted", "in_doubt", "queued"]
    assert await town.status(item.message_id) == states.status_of(
        [SegmentState.SUBMITTED, SegmentState.IN_DOUBT, SegmentState.QUEUED]
    )
    # And the one that is to be tried again counts no attempt
    found = await town.pool.fetch("SELECT attempt_count FROM segments ORDER BY part")
    assert [row["attempt_count"] for row in found] == [1, 1, 0]


async def test_a_parked_segment_is_written_before_it_is_ever_submitted(town: Town) -> None:
    # Given a message whose line has no tokens
    (item,) = await town.accept(1, line=town.small, segment_count=2)
    await park.park(town.pool, [(item, Wait(1_000))])
    # Then both parts are written as parked, by nobody's submit
    found = await town.pool.fetch("SELECT state, submitted_at FROM segments ORDER BY part")
    assert [tuple(row) for row in found] == [("parked", None)] * 2


async def test_a_doubt_whose_id_nobody_knows_can_be_found_by_its_phone(town: Town) -> None:
    # Given a segment whose first word is that its answer was lost
    (item,) = await town.accept(1)
    await send(town, item, [outcomes.LOST])
    # Then its recipient stands beside it
    found = await town.pool.fetchrow("SELECT state, recipient FROM segments")
    assert found is not None
    assert tuple(found) == ("in_doubt", "+33612345678")
