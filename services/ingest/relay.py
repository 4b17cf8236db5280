"""Stored messages → RabbitMQ, confirmed; and whatever was not, or was lost there, again."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from services.ingest import metrics
from services.ingest.outlet import Outlet
from shared.broker import envelopes, publish, topology
from shared.db import connection, messages, published, segments, trail, watch, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.compose import Draft
from shared.runtime import lifecycle
from shared.sms import states

_log = structlog.get_logger()

PAGE_COUNT = 2_000
TAKEN_COUNT = 5_000
"""Rows that are taken at once: so many that, of a thousand accounts, each has some together."""
SWEEP_SECONDS = 0.25
MARK_SECONDS = 1.0
MARK_AFTER_SECONDS = 3.0
"""Marked so long after its confirm: by then nearly every row has been claimed, and is gone."""
LEASE_LEFT_SECONDS = 1.5
"""What is left of a lease when its row is marked, at least; rows put back wait less, as a rule."""
_LEASE_LEFT_SECONDS_MAX = messages.RELAY_LEASE_SECONDS - MARK_AFTER_SECONDS
"""What is left of it then, at most."""
PAGE_SECONDS = 1.0
"""How long the sweep waits for a page to be confirmed before it takes the next."""
QUEUE_DELIVERY_COUNT_MAX = 5
"""From so many on nothing is added to a queue from the table. While any are left, each dispatcher
has all in hand that it may have: on a slow machine some seconds of work, and whatever lies in the
broker for longer than MARK_AFTER_SECONDS costs another write."""
PASSED_SECONDS = 10.0
"""So long at most a page waits for room, for what has just been accepted goes past it."""
LOST_SECONDS = 10.0
"""Published so long ago and still unclaimed while its queue is empty: the broker lost it."""
STALE_SECONDS = 900.0
"""Published so long ago: the queue is emptied and filled again from the table, whatever it holds,
so that nothing is lost in it for ever and it never grows by copies."""
BACKLOG_COUNT_MAX = 1_000_000
"""Messages that wait for the broker, and not for their carrier; above it ingest refuses with 503
(law 2: up to a stated backlog)."""
IN_MEMORY_COUNT_MAX = 50_000
TURN_COUNT = 5
"""Turns of the loop in which an envelope gets into its socket, through our tasks and aiormq's."""
AHEAD_SECONDS = 0.002
"""What those turns may take; beside batches that are being read one turn takes more."""

FAULTS = (*connection.TRANSIENT, publish.NotPublished)

_Lane = tuple[int, int]
"""(carrier, class): what a queue is for."""


class Relay:
    """Publishes what accept has just stored, from memory; what that misses, from the table.

    The table is the truth: memory only saves the reading. A row is marked a moment after its
    confirm, when most rows have already been claimed and there is nothing left to mark.
    """

    def __init__(
        self, pool: asyncpg.Pool, configured: watch.Watch, publisher: publish.Publisher
    ) -> None:
        self._pool = pool
        self._configured = configured
        self._publisher = publisher
        self._outlets: dict[_Lane, Outlet] = {}
        self._in_memory_count = 0
        self._confirmed: deque[tuple[float, Sequence[UUID]]] = deque()
        self._full: dict[_Lane, float] = {}
        """Whose backlog waits for room in its queue, and when it last got a page."""
        self.backlog_full = False

    async def publish_ahead(self, stored: Iterable[Draft]) -> None:
        """As `publish_soon`; and it is on its way when this returns, ahead of what its producers
        are told, or AHEAD_SECONDS are over. Many answers take as long as a dispatcher does to
        submit it."""
        self.publish_soon(stored)
        until = time.monotonic() + AHEAD_SECONDS
        for _ in range(TURN_COUNT):
            await asyncio.sleep(0)
            if time.monotonic() > until:
                break

    def publish_soon(self, stored: Iterable[Draft]) -> None:
        """Publish what a committed transaction stored. Never fails: the sweep finds the rest."""
        now_ms = time.time_ns() // 1_000_000
        parcels: dict[_Lane, list[envelopes.WorkItem]] = defaultdict(list)
        for message in stored:
            if message.send_at is None:
                parcels[message.carrier_id, message.message_class].append(
                    envelopes.WorkItem(
                        message.message_id,
                        message.account_id,
                        message.line_id,
                        message.country,
                        message.segment_count,
                        now_ms + message.valid_seconds * 1000,
                    )
                )
        self._add(parcels)

    def _add(self, parcels: Mapping[_Lane, list[envelopes.WorkItem]]) -> list[asyncio.Future[None]]:
        """Have them published; what there is no way or no room for is left to the sweep."""
        futures = []
        for lane, items in parcels.items():
            outlet = self._outlet(lane)
            held_count = self._in_memory_count + len(items)
            if outlet is None or outlet.shut or held_count > IN_MEMORY_COUNT_MAX:
                continue
            future = outlet.add(items)
            self._in_memory_count = held_count
            future.add_done_callback(partial(self._sent, len(items)))
            futures.append(future)
        return futures

    def _outlet(self, lane: _Lane) -> Outlet | None:
        """A queue's way out; None while there is no broker, or no such carrier."""
        outlet = self._outlets.get(lane)
        if outlet is None:
            carrier_id, message_class = lane
            carrier = self._configured.current.carriers.get(carrier_id)
            if carrier is None:
                return None
            queue = topology.mt_queue(carrier.name, message_class)
            outlet = self._outlets[lane] = Outlet(queue, self._publisher, self._on_confirmed)
        return outlet if self._publisher.link.up else None

    def _sent(self, count: int, future: asyncio.Future[None]) -> None:
        """A failed publish is not an error of anybody's: the rows are still there."""
        self._in_memory_count -= count
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.info("not_published_yet", message_count=count, error=type(error).__name__)

    def _on_confirmed(self, ids: Sequence[UUID]) -> None:
        self._confirmed.append((time.monotonic(), ids))

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(lifecycle.every(SWEEP_SECONDS, self._sweep, FAULTS))
            group.create_task(lifecycle.every(MARK_SECONDS, self._mark, FAULTS))
            group.create_task(lifecycle.every(2.0, self._find_lost, FAULTS))
            group.create_task(lifecycle.every(5.0, self._measure_backlog, FAULTS))

    async def _sweep(self) -> None:
        """Publish rows that nobody holds the right to publish, queue after queue."""
        await self._release_due()
        if not self._publisher.link.up:
            return
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            lanes = await work.ready_lanes(opened)
        self._full = {lane: at for lane, at in self._full.items() if lane in lanes}
        for lane in lanes:
            outlet = self._outlet(lane)
            if outlet is not None and not outlet.shut:
                await self._fill(lane, outlet)

    async def _fill(self, lane: _Lane, outlet: Outlet) -> None:
        """Page after page, as far as the queue has room for it."""
        more = True
        while more and not outlet.shut:
            if lane in self._full and not await self._has_room(lane, outlet):
                return
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                rows = await work.take_ready(
                    opened, *lane, messages.RELAY_LEASE_SECONDS, TAKEN_COUNT
                )
            if futures := self._add({lane: [_item_of(row) for row in rows]} if rows else {}):
                await asyncio.wait(futures, timeout=PAGE_SECONDS)
            more = len(rows) == TAKEN_COUNT
            if more:
                self._full[lane] = time.monotonic()
            else:
                self._full.pop(lane, None)

    async def _has_room(self, lane: _Lane, outlet: Outlet) -> bool:
        """A queue that cannot be asked has none."""
        if time.monotonic() > self._full[lane] + PASSED_SECONDS:
            return True
        try:
            return await self._publisher.ready_count(outlet.queue) < QUEUE_DELIVERY_COUNT_MAX
        except publish.NotPublished:
            return False

    async def _release_due(self) -> None:
        """Scheduled messages whose time has come are queued now, and their producers told."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            due = await work.take_due(opened, PAGE_COUNT)
            await segments.settle_waiting(opened, due, states.SegmentState.QUEUED)
            await trail.mark(opened, [trail.TrailMark(each, trail.TrailStep.DUE) for each in due])

    async def _mark(self) -> None:
        """Mark confirmed rows that are still unclaimed after MARK_AFTER_SECONDS. They are few, and
        found by their leases: to look for each of those that are gone would cost more."""
        horizon = time.monotonic() - MARK_AFTER_SECONDS
        due: list[tuple[float, Sequence[UUID]]] = []
        while self._confirmed and self._confirmed[0][0] < horizon:
            due.append(self._confirmed.popleft())
        if not due:
            return
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                late = await published.leased(opened, LEASE_LEFT_SECONDS, _LEASE_LEFT_SECONDS_MAX)
                ids = [each for _, confirmed in due for each in confirmed if each in late]
                for start in range(0, len(ids), PAGE_COUNT):
                    page = ids[start : start + PAGE_COUNT]
                    await published.mark(opened, page, LEASE_LEFT_SECONDS)
        except BaseException:
            self._confirmed.extendleft(reversed(due))
            raise

    async def _find_lost(self) -> None:
        """Have published again what a queue does not hold any more, or has held for too long."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            ages = await published.ages(opened)
        for carrier_name, message_class, age_seconds in ages:
            if age_seconds >= LOST_SECONDS:
                try:
                    await self._refill(carrier_name, message_class, age_seconds)
                except FAULTS as error:
                    queue = topology.mt_queue(carrier_name, message_class)
                    _log.warning("queue_not_refilled", queue=queue, error=type(error).__name__)

    async def _refill(self, carrier_name: str, message_class: int, age_seconds: float) -> None:
        queue = topology.mt_queue(carrier_name, message_class)
        empty = await self._publisher.ready_count(queue) == 0
        if not empty:
            if age_seconds < STALE_SECONDS:
                return
            # Whoever dies here between the two leaves rows that are older still: found again.
            await self._publisher.purge(queue)
        older_seconds = LOST_SECONDS if empty else 0.0
        count = await published.republish(self._pool, carrier_name, message_class, older_seconds)
        if count:
            _log.warning("republishing", queue=queue, message_count=count, queue_empty=empty)

    async def _measure_backlog(self) -> None:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            count = await work.unpublished_count(
                opened, BACKLOG_COUNT_MAX, self._waiting_for_room()
            )
        metrics.BACKLOG.set(count)
        self.backlog_full = count >= BACKLOG_COUNT_MAX

    def _waiting_for_room(self) -> list[_Lane]:
        """Whose backlog is not the broker's fault."""
        if not self._publisher.link.up:
            return []
        return [lane for lane in self._full if not self._outlets[lane].shut]

    async def drain(self) -> None:
        """Finish what is on its way to the broker, and mark it."""
        for outlet in list(self._outlets.values()):
            await outlet.drain()


def _item_of(row: work.Waiting) -> envelopes.WorkItem:
    return envelopes.WorkItem(
        row.message_id,
        row.account_id,
        row.line_id,
        row.country,
        row.segment_count,
        int(row.expires_at.timestamp() * 1000),
        row.bypass_gate,
    )
