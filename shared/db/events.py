"""The append-only log of what changed, numbered without gaps per account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection


class Event(NamedTuple):
    """A message's status became `status`; a row of the type `new_event`."""

    account_id: int
    message_id: UUID
    status: str
    reason: str
    reference: str | None


# The head's row lock is held until commit, so numbers become visible in order; it is the last of
# the locks that `shared.db` tells the order of.
_APPEND = """
WITH fresh AS (
    SELECT t.*, row_number() OVER (PARTITION BY t.account_id ORDER BY t.place) AS nth
    FROM unnest($1::new_event[]) WITH ORDINALITY
         AS t (account_id, message_id, status, reason, reference, place)
), locked AS (
    SELECT account_id FROM event_heads
    WHERE account_id = ANY ($2::int[]) ORDER BY account_id FOR UPDATE
), counted AS (
    SELECT account_id, count(*) AS fresh_count FROM fresh JOIN locked USING (account_id)
    GROUP BY account_id
), bumped AS (
    UPDATE event_heads h SET last_sequence = h.last_sequence + c.fresh_count
    FROM counted c WHERE h.account_id = c.account_id
    RETURNING h.account_id, h.last_sequence - c.fresh_count AS before
)
INSERT INTO events (account_id, sequence, message_id, status, reason, reference)
SELECT f.account_id, b.before + f.nth, f.message_id, f.status, f.reason, f.reference
FROM fresh f JOIN bumped b USING (account_id)"""


async def append(connection: Connection, events: Sequence[Event]) -> None:
    """Append in the order given; to be called last in a transaction, for it locks the heads."""
    if events:
        accounts = sorted({event.account_id for event in events})
        await connection.execute(_APPEND, events, accounts)


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
