"""Every carrier's lane: opened and closed as the configuration changes, each beside the others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import structlog

from services.dispatcher import dispatch
from services.dispatcher.lane import Lane
from services.dispatcher.receipts import ReceiptDesk
from services.dispatcher.record import Recorder
from shared.broker import consume, link, topology
from shared.carriers import registry
from shared.db import lost_queues
from shared.rules.snapshot import Carrier, Configuration
from shared.runtime import lifecycle
from shared.sms.classes import CLASSES

_log = structlog.get_logger()

PREFETCH_COUNT = 40
"""Envelopes in hand per class and carrier."""
DRAIN_SECONDS = 20.0
"""How long a closing lane waits for the answers to what is in flight."""


class Lanes:
    """Opens a lane for each carrier and keeps it fitting the configuration."""

    def __init__(
        self,
        amqp_url: str,
        desk: dispatch.Desk,
        recorder: Recorder,
        receipts: ReceiptDesk,
        stop: asyncio.Event,
    ) -> None:
        self._amqp_url = amqp_url
        self._stop = stop
        self._desk = desk
        self._recorder = recorder
        self._receipts = receipts
        self._open: dict[int, tuple[Carrier, AsyncExitStack]] = {}
        self._lanes: dict[int, Lane] = {}

    @property
    def waiting_for(self) -> str | None:
        """Which carriers' links are down, for readiness; None when none is."""
        down = [lane.carrier.name for lane in self._lanes.values() if not lane.link.connected]
        return f"links are down: {', '.join(sorted(down))}" if down else None

    async def fit(self, current: Configuration) -> None:
        """Close lanes of carriers that changed or went, open those that are missing."""
        for carrier_id, (opened, stack) in list(self._open.items()):
            wanted = current.carriers.get(carrier_id)
            if wanted is None or (wanted.adapter, wanted.settings) != (
                opened.adapter,
                opened.settings,
            ):
                del self._open[carrier_id]
                await stack.aclose()
        for carrier_id, carrier in current.carriers.items():
            if carrier_id not in self._open:
                await self._open_lane(carrier)

    async def _open_lane(self, carrier: Carrier) -> None:
        try:
            adapter = registry.adapter(carrier.adapter)
            settings = registry.settings(carrier.adapter, carrier.settings)
            way = adapter.open_link(carrier.name, settings, self._receipts.sink(carrier.carrier_id))
        except (LookupError, ValueError, OSError) as error:
            _log.error("carrier_not_opened", carrier=carrier.name, error=str(error))
            return
        lane = Lane(self._desk, self._recorder, carrier, way)
        stack = AsyncExitStack()
        consumers = [self._consumer(lane, message_class) for message_class in range(len(CLASSES))]
        for consumer in consumers:
            await stack.enter_async_context(link.supervised(consumer.link))
        running = lifecycle.background(f"lane-{carrier.name}", lane.run(), self._stop)
        await stack.enter_async_context(running)
        stack.push_async_callback(_close, lane, consumers)
        self._open[carrier.carrier_id] = (carrier, stack)
        self._lanes[carrier.carrier_id] = lane
        _log.info("lane_opened", carrier=carrier.name, adapter=carrier.adapter)

    def _consumer(self, lane: Lane, message_class: int) -> consume.Consumer:
        return consume.Consumer(
            self._amqp_url,
            "dispatcher",
            topology.mt_queue(lane.carrier.name, message_class),
            PREFETCH_COUNT,
            partial(lane.receive, message_class),
            partial(lost_queues.republish_all, self._desk.pool),
            partial(lane.forget_held, message_class),
        )

    async def close(self) -> None:
        """Close every lane at once: stop consuming, wait for answers, record, unbind. Raises the
        error of a lane that had died."""
        stacks = [stack for _, stack in self._open.values()]
        self._open.clear()
        ends = await asyncio.gather(*(stack.aclose() for stack in stacks), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end


async def _close(lane: Lane, consumers: list[consume.Consumer]) -> None:
    for consumer in consumers:
        await consumer.stop()
    try:
        await asyncio.wait_for(lane.drain(), DRAIN_SECONDS)
    except TimeoutError:
        _log.warning("lane_not_drained", carrier=lane.carrier.name)
    await lane.link.close(2.0)
    _log.info("lane_closed", carrier=lane.carrier.name)
