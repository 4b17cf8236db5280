"""Which messages of a run are delivered, by their statuses."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import asyncpg

from tests.bench import contender

_STATUSES = """
SELECT status, count(*) FROM messages WHERE message_id >= $1 GROUP BY status ORDER BY status"""


class Delivered:
    """Counts messages that came to `delivered` since `begin`, over all accounts."""

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database
        self._first_id = uuid.UUID(int=0)

    def begin(self) -> None:
        """What was before does not count."""
        self._first_id = first_id(time.time())

    async def count(self) -> int:
        """Messages delivered so far. It goes through all of them, and PostgreSQL's work for it is
        in what is measured: so it is asked at the end, and costs the same however many accounts
        there are."""
        return (await self.statuses()).get("delivered", 0)

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
