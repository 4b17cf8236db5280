"""What nobody holds in hand: messages whose time is over, workers that died, doubts to submit
again."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import structlog

from services.dispatcher import claim, retry
from shared.db import (
    connection,
    limits,
    opt_outs,
    reroutes,
    segments,
    submits,
    trail,
    watch,
    work,
    workers,
)
from shared.db.pool import ACQUIRE_SECONDS
from shared.sms.states import SegmentState

_log = structlog.get_logger()

PAGE_COUNT = 500


class Sweeper:
    """Steps to be called every now and then; all are safe beside other dispatchers."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        worker_id: UUID,
        resubmit_seconds: float,
        configured: watch.Watch | None = None,
    ) -> None:
        """`configured` tells which carriers may be asked again; without it none may."""
        self._pool = pool
        self._configured = configured
        self._worker_id = worker_id
        self._resubmit_seconds = resubmit_seconds

    async def beat(self) -> None:
        """Tell the others that this worker lives."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            await workers.beat(opened, self._worker_id)

    async def leave(self) -> None:
        """Tell the others that this worker goes; what it could not record is in doubt at once."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await workers.leave(opened, self._worker_id)
        except connection.TRANSIENT as error:
            _log.warning("left_without_word", error=type(error).__name__)

    async def expire(self) -> None:
        """End and refund what was not sent within its validity."""
        while True:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
                expired = await work.take_expired(opened, PAGE_COUNT)
                await claim.expire(opened, expired)
            if len(expired) < PAGE_COUNT:
                return

    async def cancel_opted_out(self) -> None:
        """End and refund what waits for phones that have just opted out, as far as it is found; the
        rest is found when it is claimed, and nothing of it is sent."""
        while True:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                new = await opt_outs.new_ones(opened, PAGE_COUNT)
                if not new:
                    return
                while await self._cancel_page(opened, new) >= PAGE_COUNT:
                    pass
                await opt_outs.looked_for(opened, new)
            if len(new) < PAGE_COUNT:
                return

    async def _cancel_page(self, opened: connection.Connection, new: list[UUID]) -> int:
        async with opened.transaction():
            waiting = await opt_outs.waiting_for(opened, new, PAGE_COUNT)
            await claim.cancel(opened, await work.take(opened, waiting))
        return len(waiting)

    async def doubt(self) -> None:
        """What a dead worker was submitting is in doubt: nobody can know whether it left."""
        while True:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
                found = await submits.abandoned(opened, workers.SILENCE_SECONDS, PAGE_COUNT)
                await segments.settle_all(
                    opened, found, SegmentState.IN_DOUBT, "the worker sending it died"
                )
                await trail.mark(opened, trail.of_submits(found, trail.TrailStep.ABANDONED))
            if found:
                _log.warning("in_doubt", segment_count=len(found))
            if len(found) < PAGE_COUNT:
                return

    async def resubmit(self) -> None:
        """Submit doubts again where the carrier takes them once however often, and where the
        producer asked for at_least_once: rather twice than not."""
        repeating = segments.Repeating(
            retry.ATTEMPT_COUNT_MAX,
            self._configured.current.idempotent_carrier_ids if self._configured else (),
            retry.IDEMPOTENT_ATTEMPT_COUNT_MAX,
        )
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            found = await segments.doubtful(opened, self._resubmit_seconds, repeating, PAGE_COUNT)
            await claim.requeue(opened, found, trail.TrailStep.RESUBMITTED)

    async def tidy(self) -> None:
        """Forget usage that no window reaches, workers that are long gone, and where messages were
        that are not sent any more."""
        await limits.forget_old(self._pool)
        await workers.forget_dead(self._pool)
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            await reroutes.forget(opened)
