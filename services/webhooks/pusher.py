"""Who is at which webhook, or at which account's callbacks: leases taken, kept and given back, a
course for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import structlog

from services.webhooks import metrics
from shared.db import connection
from shared.db.connection import Connection
from shared.db.pool import ACQUIRE_SECONDS
from shared.runtime import ids, lifecycle, logs

_log = structlog.get_logger()

COURSE_COUNT_MAX = 500
"""Leases that one process is at, at the same time."""
LEASE_COUNT = 100
"""Of these, how many it takes at a time, so that other processes have their share."""
RENEW_SECONDS = 5.0
DRAIN_SECONDS = 20.0
"""Longer than a request's deadline."""


Held = TypeVar("Held", bound=Hashable)
"""What a lease is of; its repr tells which, and nothing else."""


class LeaseKind(NamedTuple, Generic[Held]):
    """How leases are taken and kept, and what is done under one until it is given back."""

    lease: Callable[[Connection, UUID, int], Awaitable[Sequence[Held]]]
    renew: Callable[[Connection, Collection[Held]], Awaitable[None]]
    run: Callable[[Held], Coroutine[None, None, None]]


class Pusher(Generic[Held]):
    """Runs a course for each lease that it has taken. More processes do so beside it. `stops` tells
    its courses that the process wants to end."""

    def __init__(
        self, database: asyncpg.Pool, leasing: LeaseKind[Held], stops: asyncio.Event
    ) -> None:
        self._database = database
        self._leasing = leasing
        self._stops = stops
        self._courses: dict[Held, asyncio.Task[None]] = {}

    async def turn(self) -> None:
        """Take what has something to be told now, up to what there is room for."""
        while (room := min(LEASE_COUNT, COURSE_COUNT_MAX - len(self._courses))) > 0:
            if self._stops.is_set():
                return
            async with self._database.acquire(timeout=ACQUIRE_SECONDS) as opened:
                taken = await self._leasing.lease(opened, ids.uuid7(), room)
            for leased in taken:
                self._begin(leased)
            if len(taken) < room:
                return

    def _begin(self, leased: Held) -> None:
        task = asyncio.create_task(self._leasing.run(leased))
        self._courses[leased] = task
        task.add_done_callback(partial(self._ended, leased))
        metrics.COURSES.inc()

    def _ended(self, leased: Held, task: asyncio.Task[None]) -> None:
        del self._courses[leased]
        metrics.COURSES.dec()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, connection.TRANSIENT):
            _log.warning("course_broken_off", error=type(error).__name__)
        else:
            _log.error("course_failed", leased=repr(leased), error=logs.frames_of(error))

    async def renew(self) -> None:
        """Keep the leases of what is under way."""
        if self._courses:
            async with self._database.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await self._leasing.renew(opened, self._courses)

    async def drain(self) -> None:
        """Begin nothing more; return when what is under way is told and written down."""
        self._stops.set()
        if not self._courses:
            return
        _, late = await asyncio.wait(self._courses.values(), timeout=DRAIN_SECONDS)
        for task in late:
            # Its webhook is another's when the lease runs out, and is told again.
            await lifecycle.end(task)
