"""Lines without tokens: their messages wait here, and nobody else notices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.sms.classes import CLASSES, NORMAL

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


_LOCK_BESIDE = """
SELECT line_id FROM parked_lines WHERE line_id = ANY ($1::int[])
ORDER BY line_id FOR UPDATE SKIP LOCKED"""


async def lock_beside(connection: Connection, line_ids: Sequence[int]) -> list[int]:
    """Those of these lines on which something is parked and that nobody else looks after, whatever
    their time is; locked like those that are due."""
    return [row["line_id"] for row in await connection.fetch(_LOCK_BESIDE, line_ids)]


class Head(NamedTuple):
    """Who is first in a line."""

    line_id: int
    account_id: int
    country: str
    segment_count: int
    message_id: UUID
    message_class: int = NORMAL


Full = tuple[int, str]
"""(line, country) whose messages the line's others need not wait for."""

_HEADS = """
SELECT p.line_id, head.account_id, head.country, head.segment_count, head.message_id,
       head.class
FROM unnest($1::int[]) AS p (line_id), LATERAL (
    SELECT account_id, country, segment_count, message_id, class FROM work w
    WHERE w.line_id = p.line_id AND w.state = 'parked'
      AND w.line_id || ':' || w.country <> ALL ($2::text[])
    ORDER BY class, message_id LIMIT 1
) head"""


async def heads(
    connection: Connection, line_ids: Sequence[int], full: Sequence[Full]
) -> list[Head]:
    """The first of each line that is not bound for a full country; lines without one are left
    out."""
    rows = await connection.fetch(_HEADS, line_ids, _keys(full))
    return [Head(*row) for row in rows]


def _keys(full: Sequence[Full]) -> list[str]:
    return [f"{line_id}:{country}" for line_id, country in full]


# One row more than there is room for tells whether somebody stays behind. "Is true" keeps the
# planner from going through all that is parked anywhere.
_RELEASE = """
WITH head AS (
    SELECT w.message_id, t.line_id, t.room,
           sum(w.segment_count) OVER (
               PARTITION BY t.line_id ORDER BY w.class, w.message_id) AS running
    FROM unnest($1::int[], $2::int[], $4::int[]) AS t (line_id, room, class_max), LATERAL (
        SELECT message_id, class, segment_count FROM work w
        WHERE w.line_id = t.line_id AND w.state = 'parked' AND w.class <= t.class_max
          AND w.line_id || ':' || w.country <> ALL ($3::text[])
        ORDER BY class, message_id LIMIT t.room + 1
    ) w
), released AS (
    UPDATE work SET state = 'ready', ready_at = now(), bypass_gate = true
    WHERE message_id = ANY (ARRAY(SELECT message_id FROM head WHERE running <= room))
      AND (state = 'parked') IS TRUE
    RETURNING message_id
)
SELECT ARRAY(SELECT message_id FROM released) AS released,
       ARRAY(SELECT DISTINCT line_id FROM head WHERE running > room) AS more"""


async def release(
    connection: Connection,
    room: Mapping[int, int],
    full: Sequence[Full] = (),
    class_max: Mapping[int, int] | None = None,
) -> tuple[list[UUID], set[int]]:
    """Let the most urgent, then oldest, messages of each line go that together need at most so many
    segments and are bound for no full country; from lines in `class_max` none that are less urgent.
    (those, lines of which others stay behind)."""
    classes = [(class_max or {}).get(line_id, len(CLASSES)) for line_id in room]
    (row,) = await connection.fetch(_RELEASE, list(room), list(room.values()), _keys(full), classes)
    return row["released"], set(row["more"])


_POSTPONE = """
UPDATE parked_lines p SET ready_at = t.ready_at
FROM unnest($1::int[], $2::timestamptz[]) AS t (line_id, ready_at) WHERE p.line_id = t.line_id"""


async def postpone(connection: Connection, ready_at: Mapping[int, datetime]) -> None:
    """Each of these lines, which the caller has locked, may go on at its time."""
    await connection.execute(_POSTPONE, list(ready_at), list(ready_at.values()))


async def close_lines(connection: Connection, line_ids: Sequence[int]) -> None:
    """Nothing is parked on these lines any more."""
    await connection.execute("DELETE FROM parked_lines WHERE line_id = ANY ($1::int[])", line_ids)


# Whoever holds a line at the moment may still put it to sleep by what it knew before; so it is
# neither waited for, which would stop everybody who parks, nor forgotten.
_WAKE = """
WITH asleep AS (
    SELECT line_id FROM parked_lines
    WHERE ready_at > now() + $2 AND ($1::int[] IS NULL OR line_id = ANY ($1))
), free AS (
    SELECT line_id FROM parked_lines JOIN asleep USING (line_id)
    FOR UPDATE OF parked_lines SKIP LOCKED
), woken AS (
    UPDATE parked_lines p SET ready_at = now() FROM free WHERE p.line_id = free.line_id
)
SELECT line_id FROM asleep EXCEPT SELECT line_id FROM free"""


async def wake(
    connection: Connection, line_ids: Collection[int] | None, soon_seconds: float = 0.0
) -> list[int]:
    """Limits have changed, or tokens have come back: these lines, or all, are to be looked at now,
    whatever time they were told before, unless that is within `soon_seconds` anyway. Returns those
    that somebody else holds at this moment, to be tried again."""
    rows = await connection.fetch(_WAKE, line_ids, timedelta(seconds=soon_seconds))
    return [row["line_id"] for row in rows]
