"""Messages without a permit: they wait in PostgreSQL, and their delivery is let go."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from shared.broker.envelopes import WorkItem
from shared.db import parking, segments, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Wait
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


async def fail(pool: asyncpg.Pool, items: Sequence[WorkItem], reason: str) -> None:
    """End messages that can never be sent, and refund them."""
    async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
        owned = await work.take(opened, [item.message_id for item in items])
        await segments.settle_waiting(opened, owned, SegmentState.FAILED, reason)
