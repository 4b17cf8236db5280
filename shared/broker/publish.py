"""Confirmed, mandatory publishing with a deadline: when it returns, the broker has it on disk."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import PublishError
from pamqp import commands

from shared.broker import link, revival, topology

_PERSISTENT = 2
PUBLISH_SECONDS = 10.0
CLOSE_SECONDS = 3.0


class NotPublished(Exception):
    """The broker did not confirm in time, refused, or has no such queue. It may have it all the
    same: consumers are idempotent by id."""


class Publisher:
    """Publishes to queues by name over a link of its own, apart from consuming: a broker in alarm
    stops reading from publishers, and consumers must not stop with them.

    Each queue has a channel of its own: where one queue does not confirm, RabbitMQ holds back the
    confirms of all others on its channel. A queue that does not confirm is examined, and made anew
    if it is dead.
    """

    def __init__(
        self,
        url: str,
        name: str,
        queues: Callable[[], Iterable[str]],
        on_missing: Callable[[str], Awaitable[None]],
        *,
        publish_seconds: float = PUBLISH_SECONDS,
        patience: revival.Patience = revival.PATIENCE,
    ) -> None:
        self.link = link.Link(url, f"{name}-publish", self._set_up)
        self._url = url
        self._queues = queues
        self._on_missing = on_missing
        self._publish_seconds = publish_seconds
        self._patience = patience
        self._connection: AbstractConnection | None = None
        self._channels: dict[str, AbstractChannel] = {}
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._silent: set[str] = set()

    async def _set_up(self, connection: AbstractConnection) -> None:
        self._connection = None
        channels = {}
        for name in self._queues():
            await topology.ensure(connection, name, self._on_missing)
            channels[name] = await _open(connection)
        self._connection, self._channels = connection, channels

    async def publish(self, queue: str, body: bytes) -> None:
        """Publish one persistent delivery. Raises NotPublished; never waits beyond
        PUBLISH_SECONDS."""
        try:
            # Not `asyncio.timeout`: seen with it, who waits on a lost connection hears of it before
            # the link does, tries again at once, and fails again.
            await asyncio.wait_for(self._publish(queue, body), self._publish_seconds)
        except Exception as error:
            if not link.is_fault(error):
                raise
            if isinstance(error, TimeoutError) and self.link.up:
                self._suspect(queue)
            raise NotPublished(f"{queue}: {type(error).__name__}") from error

    async def _publish(self, queue: str, body: bytes) -> None:
        channel = self._channels.get(queue)
        if channel is None or channel.is_closed or not self.link.up:
            channel = await self._channel_of(queue)
        try:
            # Past aio-pika's messages, which cost a fifth of a publish.
            await channel.basic_publish(
                body,
                routing_key=queue,
                properties=commands.Basic.Properties(delivery_mode=_PERSISTENT),
                mandatory=True,
            )
        except PublishError:
            # The queue is gone while the broker stands: somebody deleted it.
            self._drop(queue)
            raise

    async def _channel_of(self, queue: str) -> AbstractChannel:
        """The queue's channel, opened if need be, once the queue is sure to exist."""
        async with self._opening[queue]:
            connection = self._connection
            if connection is None or not self.link.up:
                raise ConnectionError("the link is down")
            channel = self._channels.get(queue)
            if channel is None or channel.is_closed:
                await topology.ensure(connection, queue, self._on_missing)
                channel = self._channels[queue] = await _open(connection)
            return channel

    def _suspect(self, queue: str) -> None:
        """The queue has not confirmed in time. What its channel still waits for, it would wait for
        in vain; and perhaps the queue is dead."""
        self._drop(queue)
        self._silent.add(queue)
        self.link.aside("revival", self._examine)

    def _drop(self, queue: str) -> None:
        channel = self._channels.pop(queue, None)
        if channel is not None:
            self.link.aside(f"close-{id(channel)}", partial(_close, channel))

    async def _examine(self) -> None:
        """One after the other, so that an alarm, which makes all of them silent, costs little."""
        while self._silent:
            queue = self._silent.pop()
            await revival.replace_if_dead(self._url, queue, self._on_missing, self._patience)

    async def ready_count(self, queue: str) -> int:
        """How many deliveries wait in the queue, which is made if it is missing; raises
        NotPublished when nobody can tell."""
        async with self._asked(queue) as connection:
            await topology.ensure(connection, queue, self._on_missing)
            return await topology.ready_count(connection, queue)

    async def purge(self, queue: str) -> None:
        """Delete what waits in the queue; raises NotPublished when it may still be there."""
        async with self._asked(queue) as connection:
            await topology.purge(connection, queue)

    @asynccontextmanager
    async def _asked(self, queue: str) -> AsyncIterator[AbstractConnection]:
        connection = self._connection
        if connection is None or not self.link.up:
            raise NotPublished("the link is down")
        try:
            async with asyncio.timeout(self._publish_seconds):
                yield connection
        except Exception as error:
            if not link.is_fault(error):
                raise
            raise NotPublished(f"{queue}: {type(error).__name__}") from error


async def _open(connection: AbstractConnection) -> AbstractChannel:
    opened = await connection.channel(publisher_confirms=True, on_return_raises=True)
    return await opened.get_underlay_channel()


async def _close(channel: AbstractChannel) -> None:
    try:
        await asyncio.wait_for(channel.close(), CLOSE_SECONDS)
    except Exception as error:
        if not link.is_fault(error):
            raise
