"""Consuming with a bound, acknowledging in groups, and stopping without losing a delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage

from shared.broker import acks, link, revival, topology

_log = structlog.get_logger()


class Delivery:
    """One delivery; its link may have gone meanwhile, and then it comes again by itself, as
    `redelivered`."""

    __slots__ = ("_acks", "_tag", "body", "redelivered")

    def __init__(self, body: bytes, tag: int, told: acks.Acks, *, redelivered: bool) -> None:
        self.body = body
        self.redelivered = redelivered
        self._tag = tag
        self._acks = told

    async def settle(self) -> None:
        """Acknowledge: everything in it has come to rest in PostgreSQL."""
        await self._acks.settle(self._tag)

    async def bury(self) -> None:
        """Move it to the dead-letter queue: nobody can read it."""
        await self._acks.bury(self._tag)


class Consumer:
    """Takes deliveries from one queue, at most `prefetch` of them unacknowledged.

    `on_delivery` gets each delivery and ends it by `settle` or `bury`. What was not ended comes
    again over the next link, which `on_reset` announces: what is still held then is stale.
    """

    def __init__(
        self,
        url: str,
        name: str,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        on_missing: Callable[[str], Awaitable[None]],
        on_reset: Callable[[], None],
    ) -> None:
        self._url = url
        self.link = link.Link(url, f"{name}-consume-{queue}", self._set_up)
        self.queue = queue
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._on_missing = on_missing
        self._on_reset = on_reset
        self._channel: AbstractChannel | None = None
        self._tag = ""
        self._stopped = False

    async def _set_up(self, connection: AbstractConnection) -> None:
        await topology.ensure(connection, topology.DEAD, topology.nothing_to_restore)
        await topology.ensure(connection, self.queue, self._on_missing)
        opened = await connection.channel()
        opened.close_callbacks.add(lambda *_: self.link.rebuild())
        # Past aio-pika's messages, which cost a third of a delivery.
        channel = await opened.get_underlay_channel()
        # The queue was deleted: nothing else would ever say so.
        channel.on_consumer_cancel_callbacks.add(lambda _: self.link.rebuild())
        self._on_reset()
        await opened.set_qos(prefetch_count=self._prefetch, timeout=topology.OPERATION_SECONDS)
        await topology.declare(opened, self.queue)
        self._channel = channel
        if not self._stopped:
            await self._consume(channel)

    async def _consume(self, channel: AbstractChannel) -> None:
        told = acks.Acks(channel)

        async def receive(message: DeliveredMessage) -> None:
            if message.delivery_tag is not None:
                told.received(message.delivery_tag)
                self._on_delivery(
                    Delivery(
                        message.body,
                        message.delivery_tag,
                        told,
                        redelivered=bool(message.redelivered),
                    )
                )

        try:
            started = await channel.basic_consume(
                self.queue, receive, timeout=topology.OPERATION_SECONDS
            )
        except TimeoutError:
            self.link.aside("revival", self._examine)
            raise
        self._tag = started.consumer_tag or ""

    async def _examine(self) -> None:
        await revival.replace_if_dead(self._url, self.queue, self._on_missing, revival.PATIENCE)

    async def stop(self) -> None:
        """Ask for no more deliveries; what is here may still be settled."""
        self._stopped = True
        if self._channel is None or not self.link.up:
            return
        try:
            await self._channel.basic_cancel(self._tag, timeout=topology.OPERATION_SECONDS)
        except Exception as error:
            if not link.is_fault(error):
                raise
            _log.warning("consumer_not_cancelled", queue=self.queue, error=type(error).__name__)
