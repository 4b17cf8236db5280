"""Every carrier's lane: opened and closed as the configuration changes, each beside the others."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from services.dispatcher import dispatch
from services.dispatcher.health import LaneLook
from services.dispatcher.inbound import InboundDesk
from services.dispatcher.lane import Lane
from services.dispatcher.leases import BindLeases
from services.dispatcher.receipts import ReceiptDesk
from services.dispatcher.record import Recorder
from shared.broker import consume, link, topology
from shared.carriers import contract, registry
from shared.db import published
from shared.rules.snapshot import Carrier, Configuration
from shared.runtime import lifecycle
from shared.sms.classes import CLASSES

_log = structlog.get_logger()

PREFETCH_COUNT = 40
"""Envelopes in hand per class and carrier."""
DRAIN_SECONDS = 20.0
"""How long a closing lane waits for the answers to what is in flight."""


FIRST_RETRY_SECONDS = 1.0
RETRY_MAX_SECONDS = 15.0
"""Between two tries to open a carrier: doubled from the first up to this, without end, for a file
that is missing may appear at any time."""


class _Leased(NamedTuple):
    """How many binds of a carrier may be open over all processes, how many this one wants, and how
    many it has."""

    binds_max: int
    wanted: int
    held: int


class _Berth:
    """One carrier as it is configured: the tries to open it, then its lane, until it is to
    close."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.closing = asyncio.Event()
        self.refused = False
        self.stands_by = False
        self.leased: _Leased | None = None
        self.lane: Lane | None = None

    def fits(self, wanted: Carrier | None) -> bool:
        """Whether it may stay as it is, under whichever keys credentials are sealed."""
        mine = self.carrier
        return (
            wanted is not None
            and mine.adapter == wanted.adapter
            and registry.alike(mine.settings, wanted.settings)
        )


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Who takes what carriers deliver over their links."""

    receipts: ReceiptDesk
    inbound: InboundDesk


class Lanes:
    """Opens a lane for each carrier and keeps it fitting the configuration.

    Each carrier has a task of its own, so that one that drains, or cannot be opened, holds up
    nobody else.
    """

    def __init__(
        self,
        amqp_url: str,
        desk: dispatch.Desk,
        recorder: Recorder,
        deliveries: Deliveries,
        stop: asyncio.Event,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._amqp_url = amqp_url
        self._stop = stop
        self._desk = desk
        self._recorder = recorder
        self._deliveries = deliveries
        self._drain_seconds = drain_seconds
        self._leases = BindLeases(desk.pool, desk.worker_id)
        self._berths: dict[int, _Berth] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._fallen: list[BaseException] = []

    @property
    def waiting_for(self) -> str | None:
        """Which carriers cannot be opened and whose links are down, for readiness; None when all
        is well. Where others have all binds of a carrier, this process stands by, and that is
        well."""
        refused = sorted(b.carrier.name for b in self._berths.values() if b.refused)
        down = sorted(
            berth.carrier.name
            for berth in self._berths.values()
            if not (berth.refused or berth.stands_by)
            and (berth.lane is None or not berth.lane.link.connected)
        )
        sentences = [
            f"{what}: {', '.join(names)}"
            for what, names in (("carriers cannot be opened", refused), ("links are down", down))
            if names
        ]
        return "; ".join(sentences) or None

    def looks(self) -> list[LaneLook]:
        """Every carrier's lane at this moment; one that cannot be opened is down."""
        return [
            LaneLook(carrier_id, False, 0)
            if berth.lane is None
            else LaneLook(carrier_id, berth.lane.link.connected, berth.lane.in_flight_count)
            for carrier_id, berth in self._berths.items()
            if not berth.stands_by
        ]

    async def fit(self, current: Configuration) -> None:
        """Close lanes of carriers that changed or went, open those that are missing. Waits for none
        of it: a carrier's new lane opens when its old one has drained."""
        for carrier_id, berth in list(self._berths.items()):
            if not berth.fits(current.carriers.get(carrier_id)):
                berth.closing.set()
                del self._berths[carrier_id]
        for carrier_id, carrier in current.carriers.items():
            if carrier_id not in self._berths:
                self._open(carrier)

    def _open(self, carrier: Carrier) -> None:
        berth = self._berths[carrier.carrier_id] = _Berth(carrier)
        before = self._tasks.get(carrier.carrier_id)
        task = asyncio.create_task(self._tend(berth, before), name=f"lane-{carrier.name}")
        self._tasks[carrier.carrier_id] = task
        task.add_done_callback(self._ended)

    async def look_at_leases(self) -> None:
        """Open a carrier's lane anew where this process has lost binds of it, or can have more."""
        changed = await self._leases.lost()
        for carrier_id, berth in list(self._berths.items()):
            leased = berth.leased
            if leased is None or leased.held >= leased.wanted:
                continue
            if await self._leases.take(carrier_id, leased.binds_max, leased.wanted):
                changed.add(carrier_id)
        for carrier_id in changed & self._berths.keys():
            berth = self._berths[carrier_id]
            _log.info("bind_leases_changed", carrier=berth.carrier.name)
            berth.closing.set()
            self._open(berth.carrier)

    async def _tend(self, berth: _Berth, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            way = await self._opened(berth)
            if way is not None:
                await self._lend(berth, way)
        finally:
            if self._berths.get(berth.carrier.carrier_id) in (None, berth):
                await self._leases.give_back(berth.carrier.carrier_id)

    async def _lend(self, berth: _Berth, way: contract.Link) -> None:
        """Send over the link until the berth is to close, and then leave it in peace."""
        carrier = berth.carrier
        lane = Lane(self._desk, self._recorder, carrier, way)
        consumers = [self._consumer(lane, message_class) for message_class in range(len(CLASSES))]
        async with AsyncExitStack() as stack:
            for consumer in consumers:
                await stack.enter_async_context(link.supervised(consumer.link))
            running = lifecycle.background(f"lane-{carrier.name}", lane.run(), self._stop)
            await stack.enter_async_context(running)
            stack.push_async_callback(_close, lane, consumers, self._drain_seconds)
            berth.lane, berth.refused = lane, False
            _log.info("lane_opened", carrier=carrier.name, adapter=carrier.adapter)
            await berth.closing.wait()

    async def _opened(self, berth: _Berth) -> contract.Link | None:
        """The carrier's link, tried for until it opens; None when it is to close before."""
        carrier, seconds = berth.carrier, FIRST_RETRY_SECONDS
        while not berth.closing.is_set():
            try:
                adapter = registry.adapter(carrier.adapter)
                settings = registry.settings(carrier.adapter, carrier.settings)
                settings = await self._as_leased(berth, settings)
                if berth.closing.is_set():
                    break
                return adapter.open_link(
                    carrier.name,
                    settings,
                    self._deliveries.receipts.sink(carrier.carrier_id),
                    self._deliveries.inbound.sink(carrier.carrier_id),
                )
            except Exception as error:
                foreseen = isinstance(error, (LookupError, ValueError, OSError))
                word = str(error) if foreseen else type(error).__name__
                _log.error("carrier_not_opened", carrier=carrier.name, error=word, again=seconds)
            berth.refused = True
            await self._leases.give_back(carrier.carrier_id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(berth.closing.wait(), seconds)
            seconds = min(2 * seconds, RETRY_MAX_SECONDS)
        return None

    async def _as_leased(self, berth: _Berth, settings: msgspec.Struct) -> msgspec.Struct:
        """The settings, with as many binds as this process may have; it stands by until there is
        one."""
        binds_max: int | None = getattr(settings, "binds_max", None)
        if binds_max is None:
            await self._leases.give_back(berth.carrier.carrier_id)
            return settings
        wanted = min(binds_max, getattr(settings, "binds", 1))
        berth.stands_by = True
        held = await self._leases.wait(berth.carrier.carrier_id, binds_max, wanted, berth.closing)
        berth.stands_by = False
        held = min(held, wanted)
        berth.leased = _Leased(binds_max, wanted, held)
        return msgspec.structs.replace(settings, binds=held) if held else settings

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A lane that ended by an error ends the service, which raises it when it closes."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fallen.append(error)
            self._stop.set()

    def _consumer(self, lane: Lane, message_class: int) -> consume.Consumer:
        return consume.Consumer(
            self._amqp_url,
            "dispatcher",
            topology.mt_queue(lane.carrier.name, message_class),
            PREFETCH_COUNT,
            partial(lane.receive, message_class),
            topology.restored_by(partial(published.republish, self._desk.pool)),
            partial(lane.forget_held, message_class),
        )

    async def close(self) -> None:
        """Close every lane at once: stop consuming, wait for answers, record, unbind. Raises the
        error of a lane that had died."""
        for berth in self._berths.values():
            berth.closing.set()
        self._berths.clear()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
            await asyncio.sleep(0)  # for the callbacks of the last
        fallen, self._fallen = self._fallen, []
        if fallen:
            raise fallen[0]


async def _close(lane: Lane, consumers: list[consume.Consumer], drain_seconds: float) -> None:
    await asyncio.gather(*(consumer.stop() for consumer in consumers))
    try:
        await asyncio.wait_for(lane.drain(), drain_seconds)
    except TimeoutError:
        _log.warning("lane_not_drained", carrier=lane.carrier.name)
    await lane.link.close(2.0)
    _log.info("lane_closed", carrier=lane.carrier.name)
