"""The limiter's fence and its memory: what Redis is rebuilt from (law 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from shared.db import cleaning, opt_outs
from shared.db.connection import Connection

_FENCE = 0x51C1CE01

KEEP_MINUTES = 32 * 24 * 60
"""A month of 31 days and a day."""


async def epoch(connection: Connection) -> int:
    """The epoch now in force."""
    return int(await connection.fetchval("SELECT epoch FROM limiter_epoch"))


_BEGIN = f"""
BEGIN;
SELECT pg_advisory_xact_lock_shared({_FENCE}), pg_advisory_xact_lock_shared({opt_outs.FENCE})"""


@asynccontextmanager
async def behind_fence(connection: Connection) -> AsyncIterator[None]:
    """A transaction that holds the fences open until it ends: no new epoch comes into force before,
    and no opt-out. What is asked in it sees the last ones, also those that it had to wait for."""
    await connection.execute(_BEGIN)
    try:
        yield
    except BaseException:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def new_epoch(connection: Connection, above: int) -> int:
    """Within a transaction: wait for every claim that stands at the fence, then make an epoch that
    nobody has had before, also above the one Redis holds. Usage read after the commit is complete,
    and only the caller may install this epoch in Redis, once: an epoch that came back after a wipe
    would make permits from before it good again."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _FENCE)
    await connection.execute("UPDATE limiter_epoch SET epoch = greatest(epoch, $1) + 1", above)
    return await epoch(connection)


# In the order of bytes: any order does, for all who wait for these rows are one process.
ADD_USAGE = """
    ORDER BY scope COLLATE "C", minute
    ON CONFLICT (scope, minute, worker_id)
    DO UPDATE SET segment_count = u.segment_count + excluded.segment_count"""
"""How rows inserted into `limit_usage AS u` add up."""

_CHARGE = f"""
INSERT INTO limit_usage AS u (scope, minute, worker_id, segment_count)
SELECT scope, minute, $1, segment_count
FROM unnest($2::text[], $3::bigint[], $4::int[]) AS t (scope, minute, segment_count)
{ADD_USAGE}"""  # noqa: S608 - a part of our own

Usage = Mapping[tuple[str, int], int]
"""(scope, minute of the permit) → segments."""


def columns(used: Usage) -> tuple[list[str], list[int], list[int]]:
    """Scopes, minutes and segments, for a statement."""
    return [scope for scope, _ in used], [minute for _, minute in used], list(used.values())


async def charge(connection: Connection, worker_id: UUID, used: Usage) -> None:
    """Remember committed intents. Fewer than none for those that are proved to have come to
    nothing, once each. Locked last of all, by claims and records alike; no other worker waits for
    these rows."""
    if used:
        await connection.execute(_CHARGE, worker_id, *columns(used))


_USAGE = """
SELECT scope, minute, sum(segment_count)::bigint AS segment_count FROM limit_usage
WHERE scope = ANY ($1::text[]) AND minute > extract(epoch FROM now()) / 60 - $2
GROUP BY scope, minute ORDER BY scope, minute"""


async def usage(connection: Connection, scopes: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """scope → [(minute since 1970, segments)] of the longest window, every scope present."""
    found: dict[str, list[tuple[int, int]]] = {scope: [] for scope in scopes}
    for row in await connection.fetch(_USAGE, scopes, KEEP_MINUTES):
        found[row["scope"]].append((row["minute"], row["segment_count"]))
    return found


_FORGET = """
DELETE FROM limit_usage WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM limit_usage WHERE minute < floor(extract(epoch FROM now()) / 60)::bigint - $1
    ORDER BY minute LIMIT $2 FOR UPDATE SKIP LOCKED))"""


async def forget_old(database: asyncpg.Pool) -> None:
    """Delete usage that no window reaches any more."""
    await cleaning.by_pages(database, _FORGET, KEEP_MINUTES)
