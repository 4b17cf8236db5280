"""The limiter's fence and its memory: what Redis is rebuilt from (law 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.db.connection import Connection, Transaction

_FENCE = 0x51C1CE01

KEEP_MINUTES = 32 * 24 * 60
"""A month of 31 days and a day."""


async def epoch(connection: Connection) -> int:
    """The epoch now in force."""
    return int(await connection.fetchval("SELECT epoch FROM limiter_epoch"))


_BEHIND_FENCE = """
SELECT epoch, pg_current_xact_id()::text AS transaction_id, now() AS began_at FROM limiter_epoch"""


async def stand_at_fence(connection: Connection) -> tuple[int, Transaction]:
    """Hold the fence open until this transaction ends; (the epoch behind it, the transaction, to
    ask about should the answer to its commit be lost).

    Two statements on purpose: the second one's snapshot is taken after the lock, so a bump that
    this transaction had to wait for is seen.
    """
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _FENCE)
    (row,) = await connection.fetch(_BEHIND_FENCE)
    return row["epoch"], Transaction(row["transaction_id"], row["began_at"])


async def new_epoch(connection: Connection, above: int) -> int:
    """Within a transaction: wait for every claim that stands at the fence, then make an epoch that
    nobody has had before, also above the one Redis holds. Usage read after the commit is complete,
    and only the caller may install this epoch in Redis, once: an epoch that came back after a wipe
    would make permits from before it good again."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _FENCE)
    await connection.execute("UPDATE limiter_epoch SET epoch = greatest(epoch, $1) + 1", above)
    return await epoch(connection)


_CHARGE = """
INSERT INTO limit_usage AS u (scope, minute, worker_id, segment_count)
SELECT scope, minute, $1, segment_count
FROM unnest($2::text[], $3::bigint[], $4::int[]) AS t (scope, minute, segment_count)
ORDER BY scope, minute
ON CONFLICT (scope, minute, worker_id)
DO UPDATE SET segment_count = u.segment_count + excluded.segment_count"""


async def charge(
    connection: Connection, worker_id: UUID, used: Mapping[tuple[str, int], int]
) -> None:
    """Remember committed intents: (scope, minute of the permit) → segments. Fewer than none for
    those that are proved to have come to nothing, once each. Locked last of all, by claims and
    records alike; no other worker waits for these rows."""
    if used:
        await connection.execute(
            _CHARGE,
            worker_id,
            [scope for scope, _ in used],
            [minute for _, minute in used],
            list(used.values()),
        )


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


_FORGET = "DELETE FROM limit_usage WHERE minute < extract(epoch FROM now()) / 60 - $1"


async def forget_old(connection: Connection) -> None:
    """Delete usage that no window reaches any more."""
    await connection.execute(_FORGET, KEEP_MINUTES)
