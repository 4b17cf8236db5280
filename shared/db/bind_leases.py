"""Leases of binds, where a carrier allows only so many over all dispatchers: held for as long as
the worker beats, and free as soon as its silence makes doubts of its submits."""

from __future__ import annotations

from uuid import UUID

from shared.db import workers
from shared.db.connection import Connection

_IS_ALIVE = f"""
FROM workers w WHERE w.worker_id = l.worker_id
AND w.seen_at > now() - interval '{workers.SILENCE_SECONDS} seconds'"""

# Of two that take the same at once, the second waits for the first and finds its word.
_TAKE = f"""
INSERT INTO bind_leases AS l (carrier_id, number, worker_id)
SELECT $1, number, $2 FROM generate_series(1, $3::int) AS t (number)
WHERE NOT EXISTS (
    SELECT FROM bind_leases l WHERE l.carrier_id = $1 AND l.number = t.number
    AND EXISTS (SELECT {_IS_ALIVE}))
ORDER BY number LIMIT $4
ON CONFLICT (carrier_id, number) DO UPDATE SET worker_id = excluded.worker_id
WHERE NOT EXISTS (SELECT {_IS_ALIVE})
RETURNING number"""  # noqa: S608 - parts of our own


async def take(
    connection: Connection, carrier_id: int, worker_id: UUID, binds_max: int, wanted: int
) -> int:
    """Lease up to `wanted` binds of the `binds_max` that the carrier allows, as far as they are
    free; how many."""
    return len(await connection.fetch(_TAKE, carrier_id, worker_id, binds_max, wanted))


async def held(connection: Connection, worker_id: UUID) -> dict[int, int]:
    """How many binds of each carrier the worker has leased. Nobody takes those of one that beats,
    but one that was stopped for long may find that it has lost them."""
    rows = await connection.fetch(
        "SELECT carrier_id, count(*) AS count FROM bind_leases WHERE worker_id = $1"
        " GROUP BY carrier_id",
        worker_id,
    )
    return {row["carrier_id"]: row["count"] for row in rows}


async def give_back(connection: Connection, carrier_id: int, worker_id: UUID) -> None:
    """The worker has unbound from the carrier."""
    await connection.execute(
        "DELETE FROM bind_leases WHERE carrier_id = $1 AND worker_id = $2", carrier_id, worker_id
    )
