"""The append-only log of what changed, numbered without gaps per account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.db.connection import Connection

# The head's row lock is held until commit, so numbers become visible in order. To know how many
# there are, all that changed must be known: so heads are locked after whatever changes messages.
APPEND_CHANGED = """
counted AS (
    SELECT account_id, count(*) AS fresh_count FROM changed GROUP BY account_id
), head AS (
    SELECT h.account_id, c.fresh_count FROM event_heads h JOIN counted c USING (account_id)
    ORDER BY h.account_id FOR UPDATE OF h
), bumped AS (
    UPDATE event_heads h SET last_sequence = h.last_sequence + head.fresh_count
    FROM head WHERE h.account_id = head.account_id
    RETURNING h.account_id, h.last_sequence - head.fresh_count AS before
), event AS (
    INSERT INTO events (account_id, sequence, message_id, status, reason, reference)
    SELECT c.account_id,
           b.before + row_number() OVER (PARTITION BY c.account_id ORDER BY c.message_id),
           c.message_id, c.status, c.reason, c.reference
    FROM changed c FULL JOIN bumped b USING (account_id)
)"""
"""Parts of the one statement that changes messages, in which `changed` is what they have become: an
event for each."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as a producer reads it."""

    sequence: int
    message_id: UUID
    status: str
    reason: str
    reference: str | None
    created_at: datetime


_AFTER = """
SELECT sequence, message_id, status, reason, reference, created_at FROM events
WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"""


async def after(
    connection: Connection, account_id: int, sequence: int, limit: int
) -> list[StoredEvent]:
    """The account's events numbered above `sequence`, oldest first."""
    return [
        StoredEvent(*row) for row in await connection.fetch(_AFTER, account_id, sequence, limit)
    ]
