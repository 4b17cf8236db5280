"""The line scheduler: wakes lines whose tokens have returned and lets just so many messages go.

It takes no permits itself, it looks how many there are: the released messages take theirs where
they are sent, so a permit never travels and its age needs no shared clock. Released messages pass
the gate behind which newcomers of the line wait.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg

from shared.db import connection, parking, segments, watch
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Limiter, Never, Wait
from shared.rules import snapshot
from shared.sms.states import SegmentState

LINE_COUNT = 100
RELEASE_COUNT_MAX = 500
"""Segments a line may let go in one turn: lines take turns."""
PAUSE_SECONDS = 2.0
"""Until a line that has let messages go is looked at again: they need that long to take permits."""


class Scheduler:
    """One turn at a time; several dispatchers share the lines by skipping locked ones."""

    def __init__(self, pool: asyncpg.Pool, configured: watch.Watch, limiter: Limiter) -> None:
        self._pool = pool
        self._configured = configured
        self._limiter = limiter

    async def wake_all(self, _current: snapshot.Configuration) -> None:
        """The configuration has changed, perhaps a limit: look at every line at once."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            await parking.wake_all(opened)

    async def turn(self) -> None:
        """Look after every line that is due."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            due = await parking.lock_due(opened, LINE_COUNT)
            emptied = [line_id for line_id in due if not await self._wake(opened, line_id)]
        for line_id in emptied:
            await self._limiter.open_gate(line_id)

    async def _wake(self, opened: connection.Connection, line_id: int) -> bool:
        """Release what the line has tokens for; False when nobody is parked on it any more."""
        head = await parking.head(opened, line_id)
        if head is None:
            await parking.close_line(opened, line_id)
            return False
        room = await self._limiter.peek(self._configured.current, line_id, *head)
        if isinstance(room, Wait):
            ready_at = datetime.fromtimestamp(room.ready_at_ms / 1000, UTC)
            await parking.postpone(opened, line_id, ready_at)
            return True
        # A limit of zero: let the head go, to be failed where it is refused.
        wanted = 5 if isinstance(room, Never) else min(room, RELEASE_COUNT_MAX)
        released = await parking.release(opened, line_id, wanted)
        await segments.settle_waiting(opened, released, SegmentState.QUEUED)
        await parking.postpone(
            opened, line_id, datetime.now(UTC) + timedelta(seconds=PAUSE_SECONDS)
        )
        return True
