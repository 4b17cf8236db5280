"""Consuming with a bound, acknowledging in groups, and stopping without losing a delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import (
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)

from shared.broker import link, revival, topology

_log = structlog.get_logger()


class Delivery:
    """One delivery; its link may have gone meanwhile, and then it comes again by itself."""

    __slots__ = ("_message", "body")

    def __init__(self, message: AbstractIncomingMessage) -> None:
        self._message = message
        self.body: bytes = message.body

    async def settle(self) -> None:
        """Acknowledge: everything in it has come to rest in PostgreSQL."""
        try:
            await self._message.ack()
        except link.FAULTS as error:
            _log.info("ack_lost", error=type(error).__name__)

    async def bury(self) -> None:
        """Move it to the dead-letter queue: nobody can read it."""
        try:
            await self._message.reject(requeue=False)
        except link.FAULTS as error:
            _log.info("reject_lost", error=type(error).__name__)


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
        self._declared: AbstractQueue | None = None
        self._tag = ""
        self._stopped = False

    async def _set_up(self, connection: AbstractConnection) -> None:
        await topology.ensure(connection, topology.DEAD, topology.nothing_to_restore)
        await topology.ensure(connection, self.queue, self._on_missing)
        channel = await connection.channel()
        channel.close_callbacks.add(lambda *_: self.link.rebuild())
        # The queue was deleted: nothing else would ever say so.
        underlying = await channel.get_underlay_channel()
        underlying.on_consumer_cancel_callbacks.add(lambda _: self.link.rebuild())
        self._on_reset()
        await channel.set_qos(prefetch_count=self._prefetch, timeout=topology.OPERATION_SECONDS)
        self._declared = await topology.declare(channel, self.queue)
        if not self._stopped:
            self._tag = await self._consume(self._declared)

    async def _consume(self, queue: AbstractQueue) -> str:
        try:
            return await queue.consume(self._received, timeout=topology.OPERATION_SECONDS)
        except TimeoutError:
            self.link.aside("revival", self._examine)
            raise

    async def _examine(self) -> None:
        await revival.replace_if_dead(self._url, self.queue, self._on_missing, revival.PATIENCE)

    async def _received(self, message: AbstractIncomingMessage) -> None:
        self._on_delivery(Delivery(message))

    async def stop(self) -> None:
        """Ask for no more deliveries; what is here may still be settled."""
        self._stopped = True
        if self._declared is None or not self.link.up:
            return
        try:
            await self._declared.cancel(self._tag, timeout=topology.OPERATION_SECONDS)
        except link.FAULTS as error:
            _log.warning("consumer_not_cancelled", queue=self.queue, error=type(error).__name__)
