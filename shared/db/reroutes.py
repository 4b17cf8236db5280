"""What waits for a carrier, given to another; and where messages have been already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.rules.routes import Journey

SOON_SECONDS = 300
"""Of what is put off: what is tried again within that time moves as well."""


class Stranded(NamedTuple):
    """A message that waits for a carrier, held by the caller until its transaction ends."""

    journey: Journey
    visited: Sequence[int]


# What of a message was ever handed to a carrier, and may have been taken there, keeps it there.
_UNTOUCHED = """
NOT EXISTS (SELECT FROM segments s WHERE s.message_id = w.message_id
            AND (s.accepted_at IS NOT NULL OR s.attempt_count > 0))
AND NOT EXISTS (SELECT FROM submits u WHERE u.message_id = w.message_id)"""

# What its line's tokens hold up moves when it is let go; what its producer wants later, when it is
# due. In the order of ids, so that a page begins where the one before has ended.
_STRANDED = f"""
SELECT m.message_id, m.country, m.recipient, m.account_id, m.line_id, m.class,
       coalesce(d.visited, '{{}}')
FROM unnest(ARRAY(
    SELECT message_id FROM work w
    WHERE w.carrier_id = $1 AND w.message_id > $3 AND ($2 = '*' OR w.country = $2)
      AND (w.state IN ('published', 'ready')
           OR (w.state = 'scheduled' AND w.ready_at < now() + $5 * interval '1 second'))
    ORDER BY message_id LIMIT $4 FOR UPDATE SKIP LOCKED)) AS w (message_id)
JOIN messages m USING (message_id) LEFT JOIN detours d USING (message_id)
WHERE m.status <> 'scheduled' AND m.expires_at > now() AND {_UNTOUCHED}
ORDER BY m.message_id"""  # noqa: S608 - words of our own


async def stranded(
    connection: Connection, carrier_id: int, country: str, after: UUID, limit: int
) -> list[Stranded]:
    """Lock the next messages after that id that wait for the carrier and of which it never got
    anything."""
    rows = await connection.fetch(_STRANDED, carrier_id, country, after, limit, SOON_SECONDS)
    return [Stranded(Journey(*row[:6]), row[6]) for row in map(tuple, rows)]


# Locks in the order that `shared.db` tells: work, then segments and messages of one order of ids.
_MOVE = """
WITH moved AS (
    SELECT * FROM unnest($1::uuid[], $2::int[]) AS t (message_id, carrier_id) ORDER BY message_id
), waiting AS (
    UPDATE work w SET carrier_id = t.carrier_id, state = 'ready', ready_at = now()
    FROM moved t WHERE w.message_id = t.message_id
), begun AS (
    UPDATE segments s SET carrier_id = t.carrier_id FROM moved t WHERE s.message_id = t.message_id
)
UPDATE messages m SET carrier_id = t.carrier_id FROM moved t WHERE m.message_id = t.message_id"""


async def move(connection: Connection, carriers: Mapping[UUID, int]) -> None:
    """Give messages, whose rows of work the caller has locked and of which nothing was ever handed
    over, to other carriers; they are to be published at once."""
    ids = sorted(carriers)
    await connection.execute(_MOVE, ids, [carriers[each] for each in ids])
