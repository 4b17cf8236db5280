"""Keeps a process's configuration at most two seconds behind the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import structlog

from shared.db import configuration, connection, standings
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules import snapshot

_log = structlog.get_logger()

POLL_SECONDS = 1.0

OnChange = Callable[[snapshot.Configuration], Awaitable[None]]


class Watch:
    """Holds the newest configuration; `current` is replaced whole, never changed in place.

    How carriers stand is told to no listener: that changes by itself, and leaves the version.
    `read_at_seconds` is when the database last confirmed it, on the monotonic clock.
    """

    def __init__(self, pool: asyncpg.Pool, current: snapshot.Configuration) -> None:
        self._pool = pool
        self.current = current
        self.read_at_seconds = time.monotonic()
        self._standings_version = 0
        self._listeners: list[OnChange] = []
        self._untold: list[OnChange] = []

    @classmethod
    async def start(cls, pool: asyncpg.Pool) -> Watch:
        """A watch with the configuration loaded once."""
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            return cls(pool, await configuration.load(opened))

    def on_change(self, listener: OnChange) -> None:
        """Call `listener` with each newer configuration, in the watching task. If PostgreSQL fails
        it, it is called again at the next poll; the other listeners do not wait for it."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Poll until cancelled; an unreachable database leaves the last configuration in force."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
            except connection.TRANSIENT as error:
                _log.warning("configuration_not_read", error=type(error).__name__)

    async def refresh(self) -> None:
        """Load anew if the database is newer; raises what an unreachable one raises."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            version, standings_version = await standings.versions(opened)
            self.read_at_seconds = time.monotonic()
            if version != self.current.version:
                self.current = await configuration.load(opened)
                self._untold = list(self._listeners)
                _log.info("configuration_loaded", version=self.current.version)
            if standings_version != self._standings_version:
                known = await standings.load(opened)
                self.current = replace(self.current, standings=known)
                self._standings_version = standings_version
        for listener in list(self._untold):
            try:
                await listener(self.current)
            except connection.TRANSIENT as error:
                _log.warning("listener_not_told", error=type(error).__name__)
            else:
                self._untold.remove(listener)
