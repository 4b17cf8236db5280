"""A carrier's answers, committed; only then is the delivery acknowledged (law 3), and only then go
the tokens back of what no carrier has taken (law 6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import prometheus_client
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from services.dispatcher import claim, reroute, retry, sending
from services.dispatcher.dispatch import Desk
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import connection, segments, trail, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.runtime import batching
from shared.sms.states import SegmentState

_log = structlog.get_logger()

BATCH_COUNT = 250
"""In doubt, if this process dies, is what it has not recorded: so no more than this is gathered."""
PACE_SECONDS = 0.075
"""Between two records, unless a whole batch waits: answers that come in the meantime go together,
for a record costs as much as some twenty answers to begin with. Nobody waits for it: the carrier
has the message, and its window has room again."""
QUIET_SECONDS = 0.04
"""When no answer has come for so long, no other is waited for."""

_ANSWERS = prometheus_client.Counter(
    "sluice_segments_answered_total", "Segments by what their submit came to.", ["outcome"]
)
_BILLED = prometheus_client.Counter(
    "sluice_whole_message_parts_total",
    "Parts of messages that carriers cut themselves and count, by whose count: carrier, ours.",
    ["count"],
)
_ANSWERED = {kind: _ANSWERS.labels(kind or "canceled") for kind in (*OutcomeKind, None)}


class _Recorded(NamedTuple):
    """What became of answers that are committed: what no limit counts any more, and the messages
    that are to be tried again by who holds them."""

    unused: list[claim.Unused]
    held: frozenset[UUID]


class Recorder:
    """Writes what became of submits, many in one transaction.

    What it holds is nowhere else, so it tries until it succeeds, and once more when the answer to a
    commit was lost: the evidence names its submit, so a repetition changes nothing. It is bounded
    by the windows, for nothing new can be claimed while PostgreSQL is away.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._gatherer = batching.Gatherer[sending.Sending](
            self._record,
            size=BATCH_COUNT,
            cadence=batching.Cadence(PACE_SECONDS, QUIET_SECONDS, steady=True),
        )
        self._latest: asyncio.Future[None] | None = None
        self._giving_back: set[asyncio.Task[None]] = set()

    def add(self, ended: sending.Sending) -> asyncio.Future[None]:
        """Record a message's answers; the future ends when they are committed, with all others that
        are committed together."""
        self._latest = self._gatherer.add(ended)
        return self._latest

    async def settled(self, timeout_seconds: float) -> None:
        """Have recorded what waits for it, and return when what was added last is, and with it
        nearly all before it; or when the time is over."""
        if self._latest is not None and not self._latest.done():
            self._gatherer.hasten()
            await asyncio.wait({self._latest}, timeout=timeout_seconds)

    async def drain(self) -> None:
        """Return when everything is recorded, and what was in vain is given back."""
        await self._gatherer.drain()
        if self._giving_back:
            await asyncio.wait(self._giving_back)

    async def _record(self, ended: Sequence[sending.Sending]) -> None:
        recorded = _Recorded([], frozenset())
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(connection.TRANSIENT),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            # Without `ended`: these tries refer to themselves, so what they know of lives until the
            # collector comes.
            before_sleep=partial(_note_delay, len(ended)),
        ):
            with attempt:
                async with self._desk.pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                    recorded = await _record(opened, self._desk, ended)
        _count(ended)
        if recorded.held:
            for each in ended:
                each.keeps_place = each.message.message_id in recorded.held
        if recorded.unused:
            self._desk.unlimited.take_off(recorded.unused)
            # Beside the recording: Redis may be slow, and then the tokens are wasted, no more.
            task = asyncio.create_task(claim.give_back(self._desk.limiter, recorded.unused))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)


def _note_delay(message_count: int, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning(
        "answers_not_recorded_yet", message_count=message_count, error=type(error).__name__
    )


def _count(ended: Sequence[sending.Sending]) -> None:
    kinds = Counter(
        answered.outcome and answered.outcome.kind for each in ended for answered in each.answers
    )
    for kind, count in kinds.items():
        _ANSWERED[kind].inc(count)
    for each in ended:
        if each.billed_count:
            _BILLED.labels("carrier").inc(each.billed_count)
            _BILLED.labels("ours").inc(each.message.segment_count)


async def _record(
    opened: connection.Connection, desk: Desk, ended: Sequence[sending.Sending]
) -> _Recorded:
    """Commit what is known; what this call, and no other, has proved unsent is charged no more."""
    proofs = [_plain_proof(each) for each in ended]
    plain = [proof for proof in proofs if proof is not None]
    if len(plain) == len(ended):
        # Nothing else follows from these, and a statement is a transaction.
        await segments.settle(opened, plain)
        return _Recorded([], frozenset())
    async with opened.transaction():
        return await _record_mixed(opened, desk, ended)


def _plain_proof(ended: sending.Sending) -> segments.Evidence | None:
    """That a message of one part was taken; None of any other, and of any other end."""
    message = ended.message
    first = ended.answers[0]
    outcome = first.outcome
    if message.segment_count > 1 or outcome is None or outcome.kind is not OutcomeKind.ACCEPTED:
        return None
    if outcome.billed_count > 1:
        return None
    return segments.Evidence(
        message.message_id,
        first.part,
        SegmentState.SUBMITTED,
        True,
        outcome.carrier_message_id or None,
        submitted_at=message.submitted_at,
        alone=True,
    )


async def _record_mixed(
    opened: connection.Connection, desk: Desk, ended: Sequence[sending.Sending]
) -> _Recorded:
    """Whatever was answered: what was not taken waits again, and leaves its limits."""
    evidence: list[segments.Evidence] = []
    put_off: list[_PutOff] = []
    marks: list[trail.TrailMark] = []
    sent_on = [each.message for each in ended if _is_sent_on(each)]
    rerouted: set[UUID] = set()
    if sent_on:
        rerouted = await reroute.elsewhere(opened, desk.configured.current, sent_on)
    for each in ended:
        marks += _billed_marks(each)
        deferral_count = each.deferral_count
        for answered in each.answers:
            then = _next(answered.outcome, deferral_count)
            if each.message.message_id in rerouted and then.state is not SegmentState.SUBMITTED:
                then = retry.MOVED
            evidence.append(_evidence(each.message, answered, then))
            marks += _marks(each, answered, then)
            if then.permit_unused or then.delay_ms is not None:
                put_off.append((each, answered.part, then))
    settled = await segments.settle_answers(opened, evidence)
    moved = {(each.message_id, each.part) for each in settled.unsent if each.by_this}
    unused_counts: Counter[UUID] = Counter()
    by_id = {each.message.message_id: each for each, _, _ in put_off}
    for each, part, then in put_off:
        message_id = each.message.message_id
        unused_counts[message_id] += then.permit_unused and (message_id, part) in moved
    unused = [
        claim.Unused(by_id[message_id].message, by_id[message_id].permit, count)
        for message_id, count in unused_counts.items()
        if count
    ]
    held = await work.requeue(opened, _deferrals(put_off))
    await claim.discharge(opened, desk.worker_id, unused)
    await trail.mark(opened, marks)
    return _Recorded(unused, held)


def _deferrals(put_off: Sequence[_PutOff]) -> list[work.Deferral]:
    """When each message is tried again, by its part that waits longest: at once by who holds all of
    it, where only the link was in the way."""
    found: dict[UUID, work.Deferral] = {}
    for each, _, then in put_off:
        if then.delay_ms is None:
            continue
        message_id = each.message.message_id
        before = found.get(message_id, work.Deferral(message_id, held_count=each.held_count))
        found[message_id] = work.Deferral(
            message_id,
            max(before.delay_ms, then.delay_ms),
            max(
                before.deferral_count,
                each.deferral_count + (not then.keeps_place and then.delay_ms > 0),
            ),
            before.held_count if then.keeps_place else 0,
        )
    return list(found.values())


_PutOff = tuple[sending.Sending, int, retry.Next]
"""A message, the number of a part of it that was not taken, and what follows."""


def _is_sent_on(ended: sending.Sending) -> bool:
    """Whether the carrier wants another to have the message, and has taken nothing of it."""
    outcome = ended.answers[0].outcome
    return outcome is not None and outcome.kind is OutcomeKind.ELSEWHERE


_STEPS = {
    OutcomeKind.REJECTED: trail.TrailStep.REJECTED,
    OutcomeKind.THROTTLED: trail.TrailStep.THROTTLED,
    OutcomeKind.DEFERRED: trail.TrailStep.DEFERRED,
    OutcomeKind.ELSEWHERE: trail.TrailStep.ELSEWHERE,
    OutcomeKind.HALTED: trail.TrailStep.HALTED,
    OutcomeKind.UNAVAILABLE: trail.TrailStep.UNAVAILABLE,
    OutcomeKind.LOST: trail.TrailStep.LOST,
}


def _marks(
    ended: sending.Sending, answered: sending.Answered, then: retry.Next
) -> list[trail.TrailMark]:
    """The end of a submit that may not be the segment's last. What was taken, or never tried, its
    segment tells of."""
    outcome = answered.outcome
    if outcome is None or outcome.kind not in _STEPS:
        return []
    until = None
    if then.delay_ms is not None and not (then.keeps_place and ended.held_count):
        until = datetime.now(UTC) + timedelta(milliseconds=then.delay_ms)
    refused = then.state is SegmentState.REJECTED
    step = trail.TrailStep.REJECTED if refused else _STEPS[outcome.kind]
    message = ended.message
    return [
        trail.TrailMark(
            message.message_id, step, answered.part, message.submitted_at, until, outcome.code
        )
    ]


def _billed_marks(ended: sending.Sending) -> list[trail.TrailMark]:
    if not ended.billed_otherwise:
        return []
    message, count = ended.message, str(ended.billed_count)
    return [
        trail.TrailMark(
            message.message_id, trail.TrailStep.BILLED, 0, message.submitted_at, None, count
        )
    ]


def _next(outcome: Outcome | None, deferral_count: int) -> retry.Next:
    if outcome is None:
        return retry.NEVER_TRIED
    return retry.after(outcome.kind, deferral_count, outcome.retry_after_ms)


def _evidence(
    message: work.Claimed, answered: sending.Answered, then: retry.Next
) -> segments.Evidence:
    outcome = answered.outcome
    accepted = then.state is SegmentState.SUBMITTED
    return segments.Evidence(
        message.message_id,
        answered.part,
        then.state,
        accepted=accepted,
        carrier_message_id=(outcome and outcome.carrier_message_id) or None,
        code="" if accepted or outcome is None else outcome.code,
        reason=sending.CANCELED if outcome is None else outcome.reason,
        submitted_at=message.submitted_at,
        alone=message.segment_count == 1,
    )
