"""Lines without tokens: their messages wait here, and nobody else notices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.db.connection import Connection

# The line's row is locked first, here as in `lock_due`, so that a scheduler that finds nothing more
# parked and a dispatcher that parks cannot miss each other.
_OPEN_LINES = """
INSERT INTO parked_lines AS p (line_id, ready_at)
SELECT line_id, to_timestamp(ready_at_ms / 1000.0)
FROM unnest($1::int[], $2::bigint[]) AS t (line_id, ready_at_ms) ORDER BY line_id
ON CONFLICT (line_id) DO UPDATE SET ready_at = least(p.ready_at, excluded.ready_at)"""

_PARK = """
UPDATE work SET state = 'parked', bypass_gate = false
WHERE message_id = ANY ($1::uuid[]) AND state IN ('ready', 'published')
RETURNING message_id"""


async def park(
    connection: Connection, message_ids: Sequence[UUID], ready_at_ms: Mapping[int, int]
) -> list[UUID]:
    """Park messages whose lines may go on at these times (by Redis' clock, milliseconds); returns
    those that were still waiting and are parked now."""
    lines = sorted(ready_at_ms)
    await connection.execute(_OPEN_LINES, lines, [ready_at_ms[line] for line in lines])
    rows = await connection.fetch(_PARK, sorted(message_ids))
    return [row["message_id"] for row in rows]


_LOCK_DUE = """
SELECT line_id FROM parked_lines WHERE ready_at <= now()
ORDER BY ready_at LIMIT $1 FOR UPDATE SKIP LOCKED"""


async def lock_due(connection: Connection, limit: int) -> list[int]:
    """Lines that may go on, locked for this transaction: one scheduler a line."""
    return [row["line_id"] for row in await connection.fetch(_LOCK_DUE, limit)]


_RELEASE = """
WITH oldest AS (
    SELECT message_id, sum(segment_count) OVER (ORDER BY class, message_id) AS running
    FROM (
        SELECT message_id, class, segment_count FROM work
        WHERE line_id = $1 AND state = 'parked' ORDER BY class, message_id LIMIT $2
    ) head
)
UPDATE work w SET state = 'ready', ready_at = now(), bypass_gate = true
FROM oldest o
WHERE w.message_id = o.message_id AND w.state = 'parked' AND o.running <= $2
RETURNING w.message_id"""


async def release(connection: Connection, line_id: int, segment_count: int) -> list[UUID]:
    """Let the most urgent, then oldest, messages go that together need at most so many segments."""
    return [row["message_id"] for row in await connection.fetch(_RELEASE, line_id, segment_count)]


_HEAD = """
SELECT account_id, country FROM work WHERE line_id = $1 AND state = 'parked'
ORDER BY class, message_id LIMIT 1"""


async def head(connection: Connection, line_id: int) -> tuple[int, str] | None:
    """(account, country) of the first in line; None when nobody is parked any more."""
    row = await connection.fetchrow(_HEAD, line_id)
    return None if row is None else (row["account_id"], row["country"])


async def postpone(connection: Connection, line_id: int, ready_at: datetime) -> None:
    """The line may go on at `ready_at`."""
    await connection.execute(
        "UPDATE parked_lines SET ready_at = $2 WHERE line_id = $1", line_id, ready_at
    )


async def wake_all(connection: Connection) -> None:
    """Limits have changed: every line is to be looked at now, whatever time it was told before."""
    await connection.execute("UPDATE parked_lines SET ready_at = now() WHERE ready_at > now()")


async def close_line(connection: Connection, line_id: int) -> None:
    """Nothing is parked on the line any more."""
    await connection.execute("DELETE FROM parked_lines WHERE line_id = $1", line_id)
