"""Every statement that moves a row of work, against the table of its moves: all pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.db import parking, published, work
from shared.db.connection import Connection
from shared.db.work_states import MOVES, SEGMENTS, WorkState
from shared.runtime import ids
from tests import claims
from tests.integration.dispatcher.conftest import Town

Step = Callable[[Connection, UUID, int], Awaitable[object]]

STEPS: dict[str, Step] = {
    "take_ready": lambda opened, _, __: work.take_ready(opened, 1, 1, 8, 100),
    "mark_published": lambda opened, m, _: published.mark(opened, [m], 1.5),
    "republish": lambda opened, _, __: published.republish_page(opened, "practice", 1, -100, 9),
    "park": lambda opened, m, line: parking.park(opened, [m], {line: 1_000}),
    "release": lambda opened, _, line: parking.release(opened, {line: 10}),
    "take_due": lambda opened, _, __: work.take_due(opened, 100),
    "claim": lambda opened, m, _: claims.claim(opened, [m], ids.uuid7()),
    "take": lambda opened, m, _: work.take(opened, [m]),
    "take_expired": lambda opened, _, __: work.take_expired(opened, 100),
    "requeue": lambda opened, m, _: work.requeue(opened, [work.Deferral(m)]),
    "requeue_later": lambda opened, m, _: work.requeue(opened, [work.Deferral(m, 1_000, 1)]),
    "requeue_beside": lambda opened, m, _: _beside(opened, work.Deferral(m)),
    "requeue_beside_later": lambda opened, m, _: _beside(opened, work.Deferral(m, 1_000, 1)),
}


async def _beside(opened: Connection, deferral: work.Deferral) -> None:
    """Queue again what waits while its row of work is about other parts only."""
    await opened.execute("UPDATE work SET segment_count = 2")
    await work.requeue(opened, [deferral])


async def _stand(town: Town, message_id: UUID, state: WorkState, after: float) -> None:
    """Let the message's row stand in a state, due `after` seconds from now."""
    if state is WorkState.GONE:
        await town.pool.execute("DELETE FROM work WHERE message_id = $1", message_id)
        segments = "queued"
    else:
        await town.pool.execute(
            "UPDATE work SET state = $2, ready_at = now() + $3 * interval '1 second'"
            " WHERE message_id = $1",
            message_id,
            state,
            after,
        )
        (segments, *_) = sorted(SEGMENTS[state])
    await town.pool.execute(
        "INSERT INTO segments (message_id, part, state, carrier_id)"
        " SELECT message_id, 1, $1, carrier_id FROM messages"
        " ON CONFLICT (message_id, part) DO UPDATE SET state = $1",
        segments,
    )


@pytest.mark.parametrize("start", list(WorkState))
async def test_every_statement_moves_a_row_as_the_table_says(town: Town, start: WorkState) -> None:
    reached: dict[WorkState, set[str]] = defaultdict(set)
    for name, step in STEPS.items():
        for after in (-1, 7):  # due, and leased or to come
            await town.pool.execute("DELETE FROM work")
            valid_seconds = 0 if name == "take_expired" else 3600
            (item,) = await town.accept(1, valid_seconds=valid_seconds)
            await _stand(town, item.message_id, start, after)
            async with town.pool.acquire() as opened, opened.transaction():
                await step(opened, item.message_id, item.line_id)
            found = (await town.waiting()).get(item.message_id, "gone")
            reached[WorkState(found)].add(name)
    # every pair that a statement makes is in the table, and every pair of the table is made
    made = {state for state in reached if state is not start}
    assert made == MOVES[start], dict(reached)


async def test_accepting_makes_the_two_states_a_row_may_begin_in(town: Town) -> None:
    (now,) = await town.accept(1)
    (later,) = await town.accept(1, send_at=datetime.now(UTC) + timedelta(hours=1))
    states = await town.waiting()
    assert {states[now.message_id], states[later.message_id]} == MOVES[WorkState.GONE]


async def test_the_table_knows_the_words_that_a_row_may_hold(town: Town) -> None:
    rule = await town.pool.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'work'::regclass AND contype = 'c'"
    )
    assert {word for word in WorkState if f"'{word}'" in rule} == set(SEGMENTS)
    assert rule.count("'") == 2 * len(SEGMENTS)
