"""The append-only log of what changed, numbered without gaps per account."""

from __future__ import annotations

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
