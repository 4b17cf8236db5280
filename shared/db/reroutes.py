"""What waits for a carrier, given to another; and where messages have been already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.rules.routes import Journey

SOON_SECONDS = 300
"""Of what is put off: what is tried again within that time moves as well; leases are shorter."""

# What its line's tokens hold up moves when it is let go. Found by the index of each state, however
# many the planner thinks they are; in the order of ids, so that a page begins where the one before
# has ended.
_LOCK_WAITING = """
WITH waiting AS MATERIALIZED (
    SELECT message_id FROM work
    WHERE state = 'published' AND carrier_id = $1 AND ($2 = '*' OR country = $2)
    UNION ALL
    SELECT message_id FROM work
    WHERE state = 'ready' AND ready_at < now() + $5 * interval '1 second'
      AND carrier_id = $1 AND ($2 = '*' OR country = $2)
    UNION ALL
    SELECT message_id FROM work
    WHERE state = 'scheduled' AND ready_at < now() + $5 * interval '1 second'
      AND carrier_id = $1 AND ($2 = '*' OR country = $2)
)
SELECT message_id FROM work
WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM waiting WHERE message_id > $3 ORDER BY message_id LIMIT $4))
  AND carrier_id = $1 AND state <> 'parked'
ORDER BY message_id FOR UPDATE SKIP LOCKED"""


async def lock_waiting(
    connection: Connection, carrier_id: int, country: str, after: UUID, limit: int
) -> list[UUID]:
    """Lock the rows of work of the next messages after that id that wait for a carrier."""
    rows = await connection.fetch(
        _LOCK_WAITING, carrier_id, country, after, limit, float(SOON_SECONDS)
    )
    return [row["message_id"] for row in rows]


_LOCK_SUBMITTED = """
SELECT m.message_id FROM messages m
JOIN unnest($1::uuid[], $2::timestamptz[]) AS t (message_id, submitted_at) USING (message_id)
WHERE (SELECT true FROM submits u
       WHERE u.message_id = t.message_id AND u.submitted_at = t.submitted_at LIMIT 1)
ORDER BY m.message_id FOR UPDATE OF m"""


async def lock_submitted(
    connection: Connection, submitted_at: Mapping[UUID, datetime]
) -> list[UUID]:
    """Lock the messages whose submit of that time has not ended yet, in their order."""
    ids = sorted(submitted_at)
    rows = await connection.fetch(_LOCK_SUBMITTED, ids, [submitted_at[each] for each in ids])
    return [row["message_id"] for row in rows]


class Traveller(NamedTuple):
    """A message that may change its carrier: where it is bound, where it was, where it is, and the
    encoding in which its segments were counted."""

    journey: Journey
    visited: Sequence[int]
    carrier_id: int
    encoding: str


# What was ever handed to a carrier, and may have been taken there, keeps its message there. What
# its producer wants later is not asked for: it moves when it is due.
_FREE = """
SELECT m.message_id, m.country, m.recipient, m.account_id, m.line_id, m.class,
       coalesce(d.visited, '{}'), m.carrier_id, m.encoding
FROM unnest($1::uuid[]) AS asked (message_id)
JOIN messages m USING (message_id) LEFT JOIN detours d USING (message_id)
WHERE m.status <> 'scheduled' AND m.expires_at > now()
  AND NOT EXISTS (SELECT FROM segments s WHERE s.message_id = m.message_id
                  AND (s.accepted_at IS NOT NULL OR s.attempt_count > 0))"""


async def free(connection: Connection, message_ids: Sequence[UUID]) -> list[Traveller]:
    """Those of the messages, whose rows of work or whose submits the caller owns, of which no
    carrier can have anything."""
    rows = await connection.fetch(_FREE, message_ids)
    return [Traveller(Journey(*row[:6]), *row[6:]) for row in map(tuple, rows)]


# Segments that have a row were put off or parked, and name the carrier they waited for.
_GIVE = """
WITH moved AS (
    SELECT * FROM unnest($1::uuid[], $2::int[]) AS t (message_id, carrier_id)
), waiting AS (
    UPDATE work w SET carrier_id = t.carrier_id, state = 'ready', ready_at = now()
    FROM moved t WHERE w.message_id = t.message_id
), begun AS (
    UPDATE segments s SET carrier_id = t.carrier_id FROM moved t WHERE s.message_id = t.message_id
)
UPDATE messages m SET carrier_id = t.carrier_id FROM moved t WHERE m.message_id = t.message_id"""


async def give(connection: Connection, carriers: Mapping[UUID, int]) -> None:
    """Give messages of which no carrier can have anything to these carriers; their rows of work, as
    far as they have any, are to be published at once."""
    message_ids = sorted(carriers)
    await connection.execute(_GIVE, message_ids, [carriers[each] for each in message_ids])


_REMEMBER = """
INSERT INTO detours AS d (message_id, visited, expires_at)
SELECT t.message_id, ARRAY[t.carrier_id], m.expires_at
FROM unnest($1::uuid[], $2::int[]) AS t (message_id, carrier_id) JOIN messages m USING (message_id)
ON CONFLICT (message_id) DO UPDATE SET visited = d.visited || excluded.visited"""


async def remember(connection: Connection, left: Mapping[UUID, int]) -> None:
    """Messages have been at these carriers, and are not to go there again."""
    message_ids = sorted(left)
    await connection.execute(_REMEMBER, message_ids, [left[each] for each in message_ids])


_FORGET = "DELETE FROM detours WHERE expires_at < now()"


async def forget(connection: Connection) -> None:
    """What is not to be sent any more needs no memory of where it was."""
    await connection.execute(_FORGET)
