"""A carrier's answers, committed; only then is the delivery acknowledged (law 3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import asyncpg
import prometheus_client
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from services.dispatcher import sending
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import connection, segments, work
from shared.runtime import batching
from shared.sms.states import SegmentState

_log = structlog.get_logger()

BATCH_COUNT = 500
THROTTLED_MS = 1_000
UNAVAILABLE_MS = 250


_ANSWERS = prometheus_client.Counter(
    "sluice_segments_answered_total", "Segments by what their submit came to.", ["outcome"]
)
_ANSWERED = {kind: _ANSWERS.labels(kind or "canceled") for kind in (*OutcomeKind, None)}


class Recorder:
    """Writes what became of submits, many in one transaction.

    What it holds is nowhere else, so it tries until it succeeds, and once more when the answer to a
    commit was lost: the evidence names its submit, so a repetition changes nothing. It is bounded
    by the windows, for nothing new can be claimed while PostgreSQL is away.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._batcher = batching.Batcher[sending.Sending, None](
            self._record, size=BATCH_COUNT, concurrency=1
        )
        self._latest: asyncio.Future[None] | None = None

    def add(self, ended: sending.Sending) -> asyncio.Future[None]:
        """Record a message's answers; the future ends when they are committed."""
        self._latest = self._batcher.add(ended)
        return self._latest

    async def settled(self, timeout_seconds: float) -> None:
        """Return when what was added last is recorded, and with it nearly all before it; or when
        the time is over."""
        if self._latest is not None and not self._latest.done():
            await asyncio.wait({self._latest}, timeout=timeout_seconds)

    async def drain(self) -> None:
        """Return when everything is recorded."""
        await self._batcher.drain()

    async def _record(self, ended: Sequence[sending.Sending]) -> list[None]:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(connection.TRANSIENT),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            before_sleep=lambda state: _log.warning(
                "answers_not_recorded_yet",
                message_count=len(ended),
                error=type(state.outcome.exception()).__name__ if state.outcome else "",
            ),
        ):
            with attempt:
                async with self._pool.acquire(timeout=5) as opened, opened.transaction():
                    await _write(opened, ended)
        _count(ended)
        return [None] * len(ended)


def _count(ended: Sequence[sending.Sending]) -> None:
    kinds = Counter(
        answered.outcome and answered.outcome.kind for each in ended for answered in each.answers
    )
    for kind, count in kinds.items():
        _ANSWERED[kind].inc(count)


async def _write(opened: connection.Connection, ended: Sequence[sending.Sending]) -> None:
    evidence = [_evidence(each.message, answered) for each in ended for answered in each.answers]
    await segments.settle(opened, evidence)
    again = {each.message.message_id: delay for each in ended if (delay := _delay_ms(each))}
    await work.requeue(opened, list(again), list(again.values()))


def _evidence(message: work.Claimed, answered: sending.Answered) -> segments.Evidence:
    outcome = answered.outcome
    if outcome is None:
        state, code, reason = SegmentState.CANCELED, "", sending.CANCELED
    else:
        state, code, reason = _STATES[outcome.kind], outcome.code, outcome.reason
    accepted = state is SegmentState.SUBMITTED
    return segments.Evidence(
        message.message_id,
        answered.part,
        state,
        accepted=accepted,
        carrier_message_id=(outcome and outcome.carrier_message_id) or None,
        code="" if accepted else code,
        reason=reason,
        submitted_at=message.submitted_at,
    )


_STATES = {
    OutcomeKind.ACCEPTED: SegmentState.SUBMITTED,
    OutcomeKind.REJECTED: SegmentState.REJECTED,
    OutcomeKind.THROTTLED: SegmentState.QUEUED,
    OutcomeKind.UNAVAILABLE: SegmentState.QUEUED,
    OutcomeKind.LOST: SegmentState.IN_DOUBT,
}


def _delay_ms(ended: sending.Sending) -> int:
    """After how long parts that were proved unsent may be tried again; 0 when there are none."""
    return max((_pause_ms(answered.outcome) for answered in ended.answers), default=0)


def _pause_ms(outcome: Outcome | None) -> int:
    if outcome is None:
        return 0
    if outcome.kind is OutcomeKind.THROTTLED:
        return outcome.retry_after_ms or THROTTLED_MS
    return UNAVAILABLE_MS if outcome.kind is OutcomeKind.UNAVAILABLE else 0
