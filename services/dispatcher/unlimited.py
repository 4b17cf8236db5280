"""What goes where no limit holds it: remembered, so that a limit set tomorrow knows of today."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from uuid import UUID

import asyncpg
import structlog

from services.dispatcher.claim import Unused
from shared.broker.envelopes import WorkItem
from shared.db import connection, limits, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Permit, country_names

_log = structlog.get_logger()

WRITE_SECONDS = 10.0
PAGE_COUNT = 2_000
"""Rows that one statement writes."""


class Unlimited:
    """Segments to countries without a limit, by scope and minute, on their way to `limit_usage`.

    What a limit counts is charged with the claim (law 6). Nothing is held to these, so they are
    written every WRITE_SECONDS, for many messages at once; a worker that dies takes its last ones
    along, and a limit that is set later then begins with as much less. One whose answer was lost is
    written twice. Bounded by what is claimed between two writings, for without PostgreSQL nothing
    is.
    """

    def __init__(self, pool: asyncpg.Pool, worker_id: UUID) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._sent: Counter[tuple[int, str, int, tuple[str, ...]]] = Counter()
        """By account, country, minute, and those of the country's scopes that a limit counts."""
        self._to_write: Counter[tuple[str, int]] = Counter()
        self._writing = asyncio.Lock()

    def add(self, claimed: Iterable[tuple[WorkItem | work.Claimed, Permit, int]]) -> None:
        """Remember (message, its permit, segments) whose claim is committed."""
        for message, permit, count in claimed:
            place = (message.account_id, message.country, permit.minute, permit.scopes[1:])
            self._sent[place] += count

    def take_off(self, unused: Iterable[Unused]) -> None:
        """Forget those that are proved to have come to nothing, once each."""
        self.add((message, permit, -count) for message, permit, count in unused)

    async def write(self) -> None:
        """Write what there is. Raises what is in TRANSIENT; what is not written yet stays."""
        async with self._writing:
            sent, self._sent = self._sent, Counter()
            for (account_id, country, minute, limited), count in sent.items():
                for scope in country_names(account_id, country):
                    if scope not in limited:
                        self._to_write[scope, minute] += count
            while page := dict(islice(self._to_write.items(), PAGE_COUNT)):
                async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                    await limits.charge(opened, self._worker_id, page)
                for place in page:
                    del self._to_write[place]

    async def leave(self) -> None:
        """The same once more before the worker goes."""
        try:
            await self.write()
        except connection.TRANSIENT as error:
            _log.warning("unlimited_usage_lost", error=type(error).__name__)
