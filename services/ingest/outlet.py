"""One queue's way to the broker: what is on it, and whether the queue takes anything just now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from shared.broker import envelopes, publish
from shared.runtime import batching

PARCEL_COUNT_MAX = 100
CHUNK_COUNT_MAX = 16
"""Envelopes on their way at once: RabbitMQ slows down a channel with more than 32 unconfirmed."""
SLOW_SECONDS = 1.0
SHUT_SECONDS = 5.0
"""How long nothing is offered to a queue that has not confirmed."""

Parcel = Sequence[envelopes.WorkItem]


class Outlet:
    """Publishes to one queue, so that a queue which does not confirm holds up itself alone.

    `on_confirmed` hears of each envelope's ids as soon as the broker has it.
    """

    def __init__(
        self,
        queue: str,
        publisher: publish.Publisher,
        on_confirmed: Callable[[Sequence[UUID]], None],
    ) -> None:
        self.queue = queue
        self._publisher = publisher
        self._on_confirmed = on_confirmed
        self._batcher = batching.Batcher[Parcel, None](self._publish, size=PARCEL_COUNT_MAX)
        self._began: float | None = None
        self._shut_until = 0.0

    @property
    def shut(self) -> bool:
        """Whether the queue has failed a moment ago, or has not confirmed for a while."""
        now = time.monotonic()
        slow = self._began is not None and now - self._began > SLOW_SECONDS
        return slow or now < self._shut_until

    def add(self, items: Parcel) -> asyncio.Future[None]:
        """Publish these soon; the future ends when the broker has them, or with NotPublished."""
        return self._batcher.add(items)

    async def _publish(self, parcels: Sequence[Parcel]) -> list[None]:
        items = [item for parcel in parcels for item in parcel]
        size = envelopes.ENVELOPE_ITEM_COUNT_MAX
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        self._began = time.monotonic()
        try:
            for start in range(0, len(chunks), CHUNK_COUNT_MAX):
                few = chunks[start : start + CHUNK_COUNT_MAX]
                for outcome in await asyncio.gather(
                    *map(self._publish_chunk, few), return_exceptions=True
                ):
                    if outcome is not None:
                        raise outcome
        except publish.NotPublished:
            self._shut_until = time.monotonic() + SHUT_SECONDS
            raise
        finally:
            self._began = None
        return [None] * len(parcels)

    async def _publish_chunk(self, items: list[envelopes.WorkItem]) -> None:
        await self._publisher.publish(self.queue, envelopes.encode_work(items))
        self._on_confirmed([item.message_id for item in items])

    async def drain(self) -> None:
        """Return when nothing is on its way any more."""
        await self._batcher.drain()
