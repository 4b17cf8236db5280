"""Deliveries from the queue of receipts → batches, and each delivery to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from services.dlr import apply, interpreters, metrics
from shared.broker import consume, envelopes
from shared.db import connection, pool

_log = structlog.get_logger()

BATCH_RECEIPT_COUNT = 500
"""A batch takes no further delivery once it holds so many receipts."""
PACE_SECONDS = 0.025
"""Between two batches, unless deliveries come one by one: a batch costs as much as some twenty
receipts to begin with."""


@dataclass(slots=True)
class _Parcel:
    """A delivery and what was in it; `poisoned`: something in it can neither be applied nor
    kept."""

    delivery: consume.Delivery
    receipts: Sequence[envelopes.RawReceipt]
    poisoned: bool = False


class Intake:
    """Gathers what waits, applies it, and only then acknowledges it.

    While PostgreSQL is away a batch is tried again for ever: its deliveries stay unacknowledged,
    and their number is bounded by `prefetch`.
    """

    def __init__(
        self, database: asyncpg.Pool, readers: interpreters.Interpreters, prefetch: int
    ) -> None:
        self._database = database
        self._readers = readers
        self._waiting: asyncio.Queue[consume.Delivery] = asyncio.Queue(prefetch)
        self._next_at = 0.0

    def take(self, delivery: consume.Delivery) -> None:
        """Queue a delivery; never waits."""
        self._waiting.put_nowait(delivery)

    def forget(self) -> None:
        """Drop what waits: its link is gone, and all of it comes again over the next."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._waiting.task_done()

    async def run(self) -> None:
        """Apply batch after batch until cancelled; several may run side by side."""
        while True:
            parcels = await self._gather()
            try:
                with metrics.BATCH_SECONDS.time():
                    await self._apply(parcels)
                await _end(parcels)
            finally:
                for _ in parcels:
                    self._waiting.task_done()

    async def drain(self) -> None:
        """Return when nothing waits and nothing runs."""
        await self._waiting.join()

    async def _gather(self) -> list[_Parcel]:
        parcels = [_open(await self._waiting.get())]
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._next_at - loop.time())
        self._next_at = loop.time() + PACE_SECONDS
        count = len(parcels[0].receipts)
        while count < BATCH_RECEIPT_COUNT and not self._waiting.empty():
            parcels.append(_open(self._waiting.get_nowait()))
            count += len(parcels[-1].receipts)
        return parcels

    async def _apply(self, parcels: Sequence[_Parcel]) -> None:
        batch = [receipt for parcel in parcels for receipt in parcel.receipts]
        some_here = any(parcel.delivery.redelivered for parcel in parcels)
        try:
            await self._persist(batch, some_here=some_here)
        except Exception as error:
            _log.error("receipt_batch_failed", count=len(batch), error=type(error).__name__)
            for parcel in parcels:
                for receipt in parcel.receipts:
                    await self._apply_alone(parcel, receipt)

    async def _apply_alone(self, parcel: _Parcel, receipt: envelopes.RawReceipt) -> None:
        """Apply one receipt of a batch that failed, so that the others are not harmed by it."""
        try:
            await self._persist([receipt], some_here=True)
        except Exception as error:
            _log.error(
                "receipt_not_applied",
                receipt_id=str(receipt.receipt_id),
                error=type(error).__name__,
            )
            parcel.poisoned |= not await self._keep(receipt)

    async def _persist(self, batch: Sequence[envelopes.RawReceipt], *, some_here: bool) -> None:
        """Apply until it has succeeded. What is tried again may be here already, as what was
        delivered before: perhaps only the answer to a commit was lost."""
        if not batch:
            return
        async for attempt in _attempts():
            with attempt:
                await self._readers.learn({raw.carrier_id for raw in batch})
                async with self._database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
                    again = attempt.retry_state.attempt_number > 1
                    _count(
                        await apply.apply(
                            opened, self._readers, batch, some_here=some_here or again
                        )
                    )

    async def _keep(self, receipt: envelopes.RawReceipt) -> bool:
        try:
            async for attempt in _attempts():
                with attempt:
                    async with self._database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
                        await apply.keep_unread(opened, receipt)
        except Exception as error:
            _log.error(
                "receipt_not_kept", receipt_id=str(receipt.receipt_id), error=type(error).__name__
            )
            return False
        metrics.RECEIPTS.labels("unreadable").inc()
        return True


def _open(delivery: consume.Delivery) -> _Parcel:
    try:
        return _Parcel(delivery, envelopes.decode_receipts(delivery.body))
    except envelopes.UnreadableEnvelope as error:
        _log.error("envelope_unreadable", size_bytes=len(delivery.body), error=str(error))
        return _Parcel(delivery, (), poisoned=True)


async def _end(parcels: Sequence[_Parcel]) -> None:
    for parcel in parcels:
        if parcel.poisoned:
            metrics.BURIED.inc()
            await parcel.delivery.bury()
        else:
            await parcel.delivery.settle()


def _attempts() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception_type(connection.TRANSIENT),
        wait=wait_random_exponential(multiplier=0.1, max=3),
        before_sleep=_note_failure,
    )


def _note_failure(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("receipts_wait", attempt=state.attempt_number, error=type(error).__name__)


def _count(tally: apply.Tally) -> None:
    metrics.RECEIPTS.labels("matched").inc(tally.matched_count)
    metrics.RECEIPTS.labels("unmatched").inc(tally.unmatched_count)
    metrics.RECEIPTS.labels("unreadable").inc(tally.unreadable_count)
    metrics.STATUS_CHANGES.inc(tally.changed_count)
