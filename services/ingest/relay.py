"""Stored messages → RabbitMQ, confirmed; and whatever was not, or was lost there, again."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import structlog

from services.ingest import metrics
from shared.broker import envelopes, publish, topology
from shared.db import connection, messages, segments, watch, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.compose import Draft
from shared.runtime import batching, lifecycle
from shared.sms import states

_log = structlog.get_logger()

PAGE_COUNT = 2_000
SWEEP_SECONDS = 0.25
MARK_SECONDS = 1.0
MARK_AFTER_SECONDS = 3.0
"""Marked so long after its confirm: by then nearly every row has been claimed, and is gone."""
LEASE_LEFT_SECONDS = 1.5
"""What is left of a lease when its row is marked, at least; rows put back wait less, as a rule."""
LOST_SECONDS = 10.0
"""Published so long ago and still unclaimed while its queue is empty: the broker lost it."""
STALE_SECONDS = 900.0
"""Published so long ago: again, whatever the queue looks like. A duplicate does no harm."""
BACKLOG_COUNT_MAX = 1_000_000
"""Unpublished messages; above it ingest refuses with 503 (law 2: up to a stated backlog)."""
IN_MEMORY_COUNT_MAX = 50_000
PARCEL_COUNT_MAX = 100

FAULTS = (*connection.TRANSIENT, publish.NotPublished)

_Lane = tuple[int, int]
"""(carrier, class): what a queue is for."""


class _Parcel(msgspec.Struct, frozen=True):
    """Messages to publish together, with their queue."""

    queue: str
    items: list[envelopes.WorkItem]


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
        self._outgoing = batching.Batcher[_Parcel, None](
            self._publish, size=PARCEL_COUNT_MAX, waiting=IN_MEMORY_COUNT_MAX
        )
        self._in_memory_count = 0
        self._confirmed: deque[tuple[float, Sequence[UUID]]] = deque()
        self.backlog_full = False

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
        for (carrier_id, message_class), items in parcels.items():
            carrier = self._configured.current.carriers.get(carrier_id)
            held_count = self._in_memory_count + len(items)
            if carrier is None or not self._publisher.link.up or held_count > IN_MEMORY_COUNT_MAX:
                continue
            queue = topology.mt_queue(carrier.name, message_class)
            future = self._outgoing.add(_Parcel(queue, items))
            self._in_memory_count = held_count
            future.add_done_callback(partial(self._sent, len(items)))
            futures.append(future)
        return futures

    def _sent(self, count: int, future: asyncio.Future[None]) -> None:
        """A failed publish is not an error of anybody's: the rows are still there."""
        self._in_memory_count -= count
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.info("not_published_yet", message_count=count, error=type(error).__name__)

    async def _publish(self, parcels: Sequence[_Parcel]) -> list[BaseException | None]:
        queues: dict[str, list[envelopes.WorkItem]] = defaultdict(list)
        for parcel in parcels:
            queues[parcel.queue].extend(parcel.items)
        chunks = [
            (queue, items[start : start + envelopes.ENVELOPE_ITEM_COUNT_MAX])
            for queue, items in queues.items()
            for start in range(0, len(items), envelopes.ENVELOPE_ITEM_COUNT_MAX)
        ]
        outcomes = await asyncio.gather(
            *(self._publish_chunk(queue, items) for queue, items in chunks), return_exceptions=True
        )
        failed = {
            queue: outcome
            for (queue, _), outcome in zip(chunks, outcomes, strict=True)
            if outcome is not None
        }
        return [failed.get(parcel.queue) for parcel in parcels]

    async def _publish_chunk(self, queue: str, items: list[envelopes.WorkItem]) -> None:
        await self._publisher.publish(queue, envelopes.encode_work(items))
        self._confirmed.append((time.monotonic(), [item.message_id for item in items]))

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(lifecycle.every(SWEEP_SECONDS, self._sweep, FAULTS))
            group.create_task(lifecycle.every(MARK_SECONDS, self._mark, FAULTS))
            group.create_task(lifecycle.every(2.0, self._find_lost, FAULTS))
            group.create_task(lifecycle.every(5.0, self._measure_backlog, FAULTS))

    async def _sweep(self) -> None:
        """Publish rows that nobody holds the right to publish, page after page."""
        await self._release_due()
        while self._publisher.link.up:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                rows = await work.take_ready(opened, messages.RELAY_LEASE_SECONDS, PAGE_COUNT)
            parcels: dict[_Lane, list[envelopes.WorkItem]] = defaultdict(list)
            for row in rows:
                parcels[row.carrier_id, row.message_class].append(_item_of(row))
            await asyncio.gather(*self._add(parcels), return_exceptions=True)
            if len(rows) < PAGE_COUNT:
                return

    async def _release_due(self) -> None:
        """Scheduled messages whose time has come are queued now, and their producers told."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            due = await work.take_due(opened, PAGE_COUNT)
            await segments.settle_waiting(opened, due, states.SegmentState.QUEUED)

    async def _mark(self) -> None:
        """Mark confirmed rows that are still unclaimed after MARK_AFTER_SECONDS."""
        horizon = time.monotonic() - MARK_AFTER_SECONDS
        while self._confirmed and self._confirmed[0][0] < horizon:
            ids: list[UUID] = []
            taken: list[tuple[float, Sequence[UUID]]] = []
            while self._confirmed and self._confirmed[0][0] < horizon and len(ids) < PAGE_COUNT:
                taken.append(self._confirmed.popleft())
                ids.extend(taken[-1][1])
            try:
                async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                    await work.mark_published(opened, ids, LEASE_LEFT_SECONDS)
            except BaseException:
                self._confirmed.extendleft(reversed(taken))
                raise

    async def _find_lost(self) -> None:
        """Have published again what a queue does not hold any more."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            ages = await work.published_ages(opened)
        for carrier_name, message_class, age_seconds in ages:
            if age_seconds < LOST_SECONDS:
                continue
            queue = topology.mt_queue(carrier_name, message_class)
            empty = await self._publisher.ready_count(queue) == 0
            older_seconds = LOST_SECONDS if empty else STALE_SECONDS
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                count = await work.republish(opened, carrier_name, message_class, older_seconds)
            if count:
                _log.warning("republishing", queue=queue, message_count=count, queue_empty=empty)

    async def _measure_backlog(self) -> None:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            count = await work.unpublished_count(opened, BACKLOG_COUNT_MAX)
        metrics.BACKLOG.set(count)
        self.backlog_full = count >= BACKLOG_COUNT_MAX

    async def drain(self) -> None:
        """Finish what is on its way to the broker, and mark it."""
        await self._outgoing.drain()


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
