"""Segments whose receipt never comes: `unknown` at the deadline, said honestly."""

from __future__ import annotations

import asyncpg
import structlog

from services.dlr import metrics
from shared.db import connection, pool, segments, trail
from shared.runtime import lifecycle
from shared.sms import states

_log = structlog.get_logger()

PAGE_COUNT = 500
REASON = "no receipt came within the deadline"


async def run(database: asyncpg.Pool, every_seconds: float) -> None:
    """Sweep until cancelled; any number of processes may do it side by side."""

    async def end_overdue_segments() -> None:
        await sweep(database)

    await lifecycle.every(every_seconds, end_overdue_segments, connection.TRANSIENT)


async def sweep(database: asyncpg.Pool) -> None:
    """End everything submitted longer ago than the deadline. What no carrier ever acknowledged is
    refunded; a later receipt still corrects the status, never the money (law 5)."""
    while await _sweep_page(database) == PAGE_COUNT:
        pass


async def _sweep_page(database: asyncpg.Pool) -> int:
    async with (
        database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened,
        opened.transaction(),
    ):
        overdue = await segments.take_overdue(opened, PAGE_COUNT)
        settled = await segments.settle_all(opened, overdue, states.SegmentState.UNKNOWN, REASON)
        await trail.mark(opened, trail.of_submits(overdue, trail.TrailStep.OVERDUE))
    if overdue:
        _log.warning("receipts_overdue", segment_count=len(overdue))
    metrics.OVERDUE.inc(len(overdue))
    metrics.STATUS_CHANGES.inc(settled.changed_count)
    return len(overdue)
