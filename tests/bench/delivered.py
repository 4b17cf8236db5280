"""Which messages of a run are delivered: followed by the events' heads, then proved by statuses."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import asyncpg

from tests.bench import contender

_HEADS = "SELECT account_id, last_sequence FROM event_heads"

# Events are numbered without gaps in the order of their commits, and a head is only ever seen at
# the end of a page, so each is read once.
_SINCE = """
SELECT h.account_id, h.last_sequence,
       (SELECT coalesce(sum(cardinality(array_positions(p.statuses, 'delivered'))), 0)
        FROM event_pages p
        WHERE p.account_id = h.account_id AND p.last_sequence > coalesce(seen.last_sequence, 0)
          AND p.last_sequence <= h.last_sequence) AS delivered_count
FROM event_heads h LEFT JOIN unnest($1::int[], $2::bigint[]) AS seen (account_id, last_sequence)
    USING (account_id)
WHERE h.last_sequence > coalesce(seen.last_sequence, 0)"""

_STATUSES = """
SELECT status, count(*) FROM messages WHERE message_id >= $1 GROUP BY status ORDER BY status"""


class Delivered:
    """Counts messages that came to `delivered` since `begin`, over all accounts."""

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database
        self._seen: dict[int, int] = {}
        self._first_id = uuid.UUID(int=0)
        self._count = 0

    async def begin(self) -> None:
        """What was before does not count."""
        self._seen = {row[0]: row[1] for row in await self._database.fetch(_HEADS)}
        self._first_id = first_id(time.time())
        self._count = 0

    async def count(self) -> int:
        """Messages delivered so far; one row of a head, where nothing has happened."""
        seen = [*self._seen], [*self._seen.values()]
        for account_id, last_sequence, delivered_count in await self._database.fetch(_SINCE, *seen):
            self._seen[account_id] = last_sequence
            self._count += delivered_count
        return self._count

    async def prove(self, count: int) -> None:
        """Exactly so many messages came since `begin`, and all are delivered. Raises NotProved."""
        statuses = await self.statuses()
        if statuses != {"delivered": count}:
            raise contender.NotProved(
                f"{count:,} messages sent, and in the database are {statuses}"
            )

    async def statuses(self) -> dict[str, int]:
        """How many of the messages since `begin` have each status."""
        rows: Sequence[asyncpg.Record] = await self._database.fetch(_STATUSES, self._first_id)
        return {row["status"]: row["count"] for row in rows}


def first_id(at: float) -> uuid.UUID:
    """The least UUID of version 7 that is made at a Unix time in seconds, or later."""
    return uuid.UUID(int=int(at * 1000) << 80)
