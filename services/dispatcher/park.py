"""Messages without a permit: they wait in PostgreSQL, and their delivery is let go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from shared.broker.envelopes import WorkItem
from shared.db import parking, segments, trail, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Never, Wait
from shared.sms.states import SegmentState


async def park(pool: asyncpg.Pool, refused: Sequence[tuple[WorkItem, Wait]]) -> None:
    """Park messages until their lines have tokens again; those claimed elsewhere are left alone."""
    ready_at_ms: dict[int, int] = {}
    for item, wait in refused:
        earliest = ready_at_ms.get(item.line_id, wait.ready_at_ms)
        ready_at_ms[item.line_id] = min(earliest, wait.ready_at_ms)
    async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
        parked = await parking.park(opened, [item.message_id for item, _ in refused], ready_at_ms)
        await segments.settle_waiting(
            opened, parked, SegmentState.PARKED, "its line has no tokens left"
        )
        waits = {item.message_id: wait for item, wait in refused}
        await trail.mark(opened, [waited(each, waits[each]) for each in parked])


def waited(message_id: UUID, wait: Wait) -> trail.TrailMark:
    """The step of a message that a bucket lets wait."""
    until = datetime.fromtimestamp(wait.ready_at_ms / 1000, UTC)
    return trail.TrailMark(message_id, trail.TrailStep.WAITED, until=until, detail=str(wait.bucket))


async def fail(pool: asyncpg.Pool, refused: Sequence[tuple[WorkItem, Never]], reason: str) -> None:
    """End messages that can never be sent, and refund them."""
    async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
        owned = await work.take(opened, [item.message_id for item, _ in refused])
        await segments.settle_waiting(opened, owned, SegmentState.FAILED, reason)
        buckets = {item.message_id: str(never.bucket) for item, never in refused}
        await trail.mark(
            opened,
            [
                trail.TrailMark(each, trail.TrailStep.IMPOSSIBLE, detail=buckets[each])
                for each in owned
            ],
        )
