"""Which binds of carriers this process may open, where a carrier counts those of all processes."""

from __future__ import annotations

import asyncio
import contextlib
from uuid import UUID

import asyncpg
import structlog

from shared.db import bind_leases, connection
from shared.db.pool import ACQUIRE_SECONDS

_log = structlog.get_logger()

LOOK_SECONDS = 0.5
"""How often whoever has too few looks for what others have given back."""


class BindLeases:
    """The binds this worker holds. Others may have them as soon as they are given back, or this
    worker has been silent for so long that its submits are doubts."""

    def __init__(self, pool: asyncpg.Pool, worker_id: UUID) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._held: dict[int, int] = {}

    async def wait(
        self, carrier_id: int, binds_max: int, wanted: int, closing: asyncio.Event
    ) -> int:
        """How many of a carrier's binds are held, `wanted` at most, once there is one; 0 when
        `closing` comes first."""
        while not closing.is_set():
            await self.take(carrier_id, binds_max, wanted)
            if held := self._held.get(carrier_id, 0):
                return held
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), LOOK_SECONDS)
        return 0

    async def take(self, carrier_id: int, binds_max: int, wanted: int) -> bool:
        """Take what is missing and free; whether there was any."""
        missing = min(wanted, binds_max) - self._held.get(carrier_id, 0)
        if missing <= 0:
            return False
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                taken = await bind_leases.take(
                    opened, carrier_id, self._worker_id, binds_max, missing
                )
        except connection.TRANSIENT as error:
            _log.warning("binds_not_leased", error=type(error).__name__)
            return False
        if taken:
            self._held[carrier_id] = self._held.get(carrier_id, 0) + taken
        return taken > 0

    async def lost(self) -> set[int]:
        """Carriers of which others have taken binds of this worker, for it had been silent."""
        if not self._held:
            return set()
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            held = await bind_leases.held(opened, self._worker_id)
        gone = {each for each, count in self._held.items() if held.get(each, 0) < count}
        for carrier_id in gone:
            self._held[carrier_id] = held.get(carrier_id, 0)
        return gone

    async def give_back(self, carrier_id: int) -> None:
        """This worker has unbound from the carrier."""
        if not self._held.pop(carrier_id, 0):
            return
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await bind_leases.give_back(opened, carrier_id, self._worker_id)
        except connection.TRANSIENT as error:
            # They end with this worker.
            _log.warning("binds_not_given_back", error=type(error).__name__)
