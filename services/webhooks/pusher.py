"""Who is at which webhook: leases taken, kept and given back, a course for each."""

from __future__ import annotations

import asyncio
from functools import partial

import asyncpg
import structlog

from services.webhooks import course, metrics
from shared.access.seals import Seals
from shared.access.vault import Vault
from shared.db import connection, pushes
from shared.db.pool import ACQUIRE_SECONDS
from shared.db.pushes import Leased
from shared.runtime import ids, lifecycle, logs
from shared.web.egress import GuardedClient

_log = structlog.get_logger()

COURSE_COUNT_MAX = 500
"""Webhooks that one process is at, at the same time."""
LEASE_COUNT = 100
"""Of these, how many it takes at a time, so that other processes have their share."""
RENEW_SECONDS = 5.0
DRAIN_SECONDS = 20.0
"""Longer than a request's deadline."""


class Pusher:
    """Runs a course for each webhook that it has leased. More processes do so beside it."""

    def __init__(
        self,
        database: asyncpg.Pool,
        client: GuardedClient,
        vault: Vault,
        seals: Seals,
        request_count: int,
    ) -> None:
        self._database = database
        self._stops = False
        self._courses: dict[Leased, asyncio.Task[None]] = {}
        self._means = course.Means(
            database,
            client,
            vault,
            seals,
            asyncio.Semaphore(request_count),
            lambda: self._stops,
        )

    async def turn(self) -> None:
        """Take what has something to be told now, up to what there is room for."""
        while (room := min(LEASE_COUNT, COURSE_COUNT_MAX - len(self._courses))) > 0:
            if self._stops:
                return
            async with self._database.acquire(timeout=ACQUIRE_SECONDS) as opened:
                taken = await pushes.lease(opened, ids.uuid7(), room)
            for leased in taken:
                self._begin(leased)
            if len(taken) < room:
                return

    def _begin(self, leased: Leased) -> None:
        task = asyncio.create_task(course.run(self._means, leased))
        self._courses[leased] = task
        task.add_done_callback(partial(self._ended, leased))
        metrics.COURSES.set(len(self._courses))

    def _ended(self, leased: Leased, task: asyncio.Task[None]) -> None:
        del self._courses[leased]
        metrics.COURSES.set(len(self._courses))
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, connection.TRANSIENT):
            _log.warning("course_broken_off", error=type(error).__name__)
        else:
            _log.error(
                "course_failed", webhook_id=str(leased.webhook_id), error=logs.frames_of(error)
            )

    async def renew(self) -> None:
        """Keep the leases of what is under way."""
        if self._courses:
            async with self._database.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await pushes.renew(opened, self._courses)

    async def drain(self) -> None:
        """Begin nothing more; return when what is under way is told and written down."""
        self._stops = True
        if not self._courses:
            return
        _, late = await asyncio.wait(self._courses.values(), timeout=DRAIN_SECONDS)
        for task in late:
            # Its webhook is another's when the lease runs out, and is told again.
            await lifecycle.end(task)
