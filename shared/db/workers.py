"""Living dispatchers: a heartbeat, by whose absence the living know the dead."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection

BEAT_SECONDS = 2.0
SILENCE_SECONDS = 10.0
"""After so long without a beat a worker counts as dead; what it was submitting is in doubt."""

_BEAT = """
INSERT INTO workers (worker_id) VALUES ($1)
ON CONFLICT (worker_id) DO UPDATE SET seen_at = now()"""


async def beat(connection: Connection, worker_id: UUID) -> None:
    """Say that the worker lives."""
    await connection.execute(_BEAT, worker_id)


async def leave(connection: Connection, worker_id: UUID) -> None:
    """The worker has nothing in flight and goes."""
    await connection.execute("DELETE FROM workers WHERE worker_id = $1", worker_id)


_FORGET_DEAD = """
DELETE FROM workers WHERE worker_id = ANY (ARRAY(
    SELECT worker_id FROM workers w WHERE w.seen_at < now() - interval '1 hour'
    AND NOT EXISTS (SELECT FROM submits u WHERE u.worker_id = w.worker_id)
    LIMIT $1 FOR UPDATE SKIP LOCKED))"""


async def forget_dead(database: asyncpg.Pool) -> None:
    """Delete workers that have long been silent and left nothing behind."""
    await cleaning.by_pages(database, _FORGET_DEAD)
