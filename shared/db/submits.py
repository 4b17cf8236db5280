"""What is being submitted: a row for each segment, from the intent to the commit of the answer (law
3). The table is as small as the carriers' windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db.connection import Connection, Transaction


class Submit(NamedTuple):
    """One submit of a segment: what a sweep has found, to be tied to its evidence."""

    message_id: UUID
    part: int
    submitted_at: datetime


UNDER_WAY = "EXISTS (SELECT FROM submits u WHERE u.message_id = s.message_id AND u.part = s.part)"
"""Of a segment `s`, as a condition in a statement: it is being submitted."""

_ABANDONED = """
SELECT u.message_id, u.part, u.submitted_at FROM submits u
WHERE NOT EXISTS (
      SELECT FROM workers w WHERE w.worker_id = u.worker_id
      AND w.seen_at > now() - $1 * interval '1 second')
  AND pg_postmaster_start_time() < now() - $1 * interval '1 second'
ORDER BY u.message_id, u.part LIMIT $2"""


async def abandoned(connection: Connection, silence_seconds: float, limit: int) -> list[Submit]:
    """Submits whose worker has not been heard of. After a restart of PostgreSQL everybody gets the
    same time again, for nobody could be heard while it was away."""
    return _submits(await connection.fetch(_ABANDONED, silence_seconds, limit))


_CLAIMED_IN = """
SELECT message_id, part, submitted_at FROM submits
WHERE worker_id = $1 AND xmin = $2::text::xid8::xid AND submitted_at = $3
ORDER BY message_id, part"""


async def claimed_in(
    connection: Connection, worker_id: UUID, transaction: Transaction
) -> list[Submit]:
    """What a worker claimed in this transaction and nobody has touched since."""
    return _submits(await connection.fetch(_CLAIMED_IN, worker_id, *transaction))


def _submits(rows: Sequence[asyncpg.Record]) -> list[Submit]:
    return [Submit(*row) for row in rows]
