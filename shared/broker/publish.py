"""Confirmed, mandatory publishing with a deadline: when it returns, the broker has it on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection

from shared.broker import link, topology

PUBLISH_SECONDS = 10.0


class NotPublished(Exception):
    """The broker did not confirm in time, refused, or has no such queue. It may have it all the
    same: consumers are idempotent by id."""


class Publisher:
    """Publishes to queues by name over a link of its own, apart from consuming: a broker in alarm
    stops reading from publishers, and consumers must not stop with them."""

    def __init__(
        self,
        url: str,
        name: str,
        queues: Callable[[], Iterable[str]],
        on_missing: Callable[[str], Awaitable[None]],
    ) -> None:
        self.link = link.Link(url, f"{name}-publish", self._set_up)
        self._queues = queues
        self._on_missing = on_missing
        self._known: set[str] = set()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def _set_up(self, connection: AbstractConnection) -> None:
        self._channel = None
        known: set[str] = set()
        for name in self._queues():
            await topology.ensure(connection, name, self._on_missing)
            known.add(name)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        channel.close_callbacks.add(lambda *_: self.link.rebuild())
        self._known, self._connection, self._channel = known, connection, channel

    async def publish(self, queue: str, body: bytes) -> None:
        """Publish one persistent delivery. Raises NotPublished; never waits beyond
        PUBLISH_SECONDS."""
        try:
            await asyncio.wait_for(self._publish(queue, body), PUBLISH_SECONDS)
        except link.FAULTS as error:
            raise NotPublished(f"{queue}: {type(error).__name__}") from error

    async def _publish(self, queue: str, body: bytes) -> None:
        channel, connection = self._channel, self._connection
        if channel is None or connection is None or not self.link.up:
            raise ConnectionError("the link is down")
        if channel.is_closed:
            # Closed without a word to us: nothing but a new link cures that.
            self.link.rebuild()
            raise ConnectionError("the channel is closed")
        if queue not in self._known:
            await topology.ensure(connection, queue, self._on_missing)
            self._known.add(queue)
        try:
            await channel.default_exchange.publish(
                aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                routing_key=queue,
                mandatory=True,
            )
        except aio_pika.exceptions.PublishError:
            # The queue is gone while the broker stands: somebody deleted it.
            self._known.discard(queue)
            raise

    async def ready_count(self, queue: str) -> int:
        """How many deliveries wait in the queue; raises NotPublished when nobody can tell."""
        connection = self._connection
        if connection is None or not self.link.up:
            raise NotPublished("the link is down")
        try:
            return await topology.ready_count(connection, queue)
        except link.FAULTS as error:
            raise NotPublished(f"{queue}: {type(error).__name__}") from error
