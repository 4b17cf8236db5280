"""Acknowledging in groups: one frame for all deliveries up to the first that is still open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from aiormq.abc import AbstractChannel

from shared.broker import link

_log = structlog.get_logger()


class Acks:
    """The deliveries of one channel that have not ended, and the word on those that have.

    What ends in one turn of the loop, or while the words before are written, goes together. For
    RabbitMQ each word is an entry in the queue's log.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._open: dict[int, None] = {}
        self._settled: set[int] = set()
        self._buried: list[int] = []
        self._writing: asyncio.Task[None] | None = None

    def received(self, tag: int) -> None:
        """A delivery has come; tags grow."""
        self._open[tag] = None

    async def settle(self, tag: int) -> None:
        """Return when the delivery is acknowledged, or its channel is gone."""
        self._settled.add(tag)
        await self._written()

    async def bury(self, tag: int) -> None:
        """Return when the delivery is rejected for good, or its channel is gone."""
        self._buried.append(tag)
        await self._written()

    async def _written(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._writing)

    async def _write(self) -> None:
        try:
            while self._settled or self._buried:
                settled, self._settled = self._settled & self._open.keys(), set()
                buried, self._buried = self._buried, []
                await self._write_group(settled, buried)
        except Exception as error:
            if not link.is_fault(error):
                raise
            # What was not written comes again over the next link.
            _log.info("acks_lost", error=type(error).__name__)
        finally:
            self._writing = None

    async def _write_group(self, settled: set[int], buried: Iterable[int]) -> None:
        # First, for an acknowledgement of all up to one that came later would take them along.
        for tag in buried:
            self._open.pop(tag, None)
            await self._channel.basic_reject(tag, requeue=False)
        together = []
        for tag in self._open:
            if tag not in settled:
                break
            together.append(tag)
        for tag in settled:
            del self._open[tag]
        if together:
            await self._channel.basic_ack(together[-1], multiple=True)
        for tag in settled.difference(together):
            await self._channel.basic_ack(tag)
