"""One webhook's round: read what it is to be told, tell it, write down what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog

from services.webhooks import aircall, bodies, metrics, policy
from services.webhooks.bodies import ToldEvent
from services.webhooks.means import Means
from services.webhooks.policy import Attempt, Standing
from shared.access import signatures, vault
from shared.db import events, pushes, sealed_texts
from shared.db.connection import Connection
from shared.db.events import StoredEvent
from shared.db.pool import ACQUIRE_SECONDS
from shared.db.pushes import Leased, Pending
from shared.db.webhooks import WebhookForm
from shared.rules import subscriptions
from shared.shapes import aircall as aircall_shapes
from shared.web import egress

_log = structlog.get_logger()

BATCH_COUNT = 64
"""Events of one round."""
READ_COUNT = 500
"""Events of the log that are looked through for them."""
RETRY_COUNT_MAX = 200
"""Events of a webhook that may wait to be told again; with so many it is told nothing new."""
ROUND_COUNT = 50
"""Rounds of a lease: then its secrets are read anew, and others have their turn."""
AT_ONCE_COUNT = 8
"""Requests to one webhook at a time."""
UNREADABLE_PAUSE_SECONDS = 300.0

_NOT_ALLOWED = "not_allowed"


@dataclass
class _Plan:
    """What is to be told now. `reads_until` is the log's number after it, if all of it is begun."""

    told: list[ToldEvent]
    created_at: dict[int, datetime]
    pending: dict[int, Pending]
    ended: list[int]
    reads_until: int
    has_more: bool


@dataclass
class _Progress:
    """What became of a plan so far, in the order in which it ended."""

    begun: set[int] = field(default_factory=set)
    attempts: list[Attempt] = field(default_factory=list)
    failures: int = 0
    asked_to_wait: bool = False


async def run(means: Means, leased: Leased) -> None:
    """Some rounds, until the webhook has heard all there is, or has to be left alone for a while,
    or the lease is another's. Raises what an unreachable database raises; the lease runs out."""
    secrets = await _secrets(means, leased)
    for rounds_left in reversed(range(ROUND_COUNT if secrets else 0)):
        plan = await _read(means, leased, secrets)
        progress = await _tell(means, leased, plan, secrets)
        course = _course(leased, plan, progress, may_go_on=bool(rounds_left) and not means.stops())
        taken = {attempt.sequence for attempt in progress.attempts if attempt.is_taken}
        handed_over = [
            event.hands_over
            for event in plan.told
            if event.hands_over is not None and event.sequence in taken
        ]
        if not await _record(means, leased, course, handed_over) or not course.goes_on:
            return
        leased = leased._replace(
            read_until=course.read_until,
            failure_count=course.failure_count,
            failing_since=course.failing_since,
        )


async def _secrets(means: Means, leased: Leased) -> list[str]:
    """What to sign with, the newest first; nothing, and the webhook paused, if a key is gone."""
    sealed = [leased.sealed_secret, leased.sealed_old_secret]
    try:
        opened = [means.vault.open(each) for each in sealed if each is not None]
        renewed = means.vault.renewed(leased.sealed_secret)
    except vault.NotReadable:
        _log.error("webhook_secret_not_readable", webhook_id=str(leased.webhook_id))
        paused = pushes.Course(
            read_until=leased.read_until,
            failure_count=leased.failure_count,
            failing_since=leased.failing_since,
            pause_seconds=UNREADABLE_PAUSE_SECONDS,
        )
        await _record(means, leased, paused)
        return []
    if renewed is not None:
        async with means.database.acquire(timeout=ACQUIRE_SECONDS) as connection:
            await pushes.reseal(connection, leased.webhook_id, leased.sealed_secret, renewed)
    return opened


async def _read(means: Means, leased: Leased, secrets: Sequence[str]) -> _Plan:
    async with means.database.acquire(timeout=ACQUIRE_SECONDS) as connection:
        if leased.failure_count >= policy.PROBE_COUNT:
            waiting = await pushes.oldest_pending(connection, leased.webhook_id)
            room = 0 if waiting else 1
        else:
            waiting = await pushes.pending(connection, leased.webhook_id, BATCH_COUNT)
            waiting_count = await pushes.pending_count(connection, leased.webhook_id)
            room = min(BATCH_COUNT - len(waiting), RETRY_COUNT_MAX - waiting_count)
        sequences = [each.sequence for each in waiting]
        again = await events.at(connection, leased.account_id, sequences) if waiting else []
        fresh = (
            await events.numbered_after(
                connection, leased.account_id, leased.read_until, READ_COUNT
            )
            if room > 0
            else []
        )
        wanted, reads_until = _wanted(leased, fresh, room)
        again = [event for event in again if _fits(leased, event)]
        told = await _bodies(means, connection, leased, secrets, [*again, *wanted])
    known = {event.sequence for event in told}
    return _Plan(
        told=told,
        created_at={event.sequence: event.created_at for event in wanted},
        pending={each.sequence: each for each in waiting},
        ended=[sequence for sequence in sequences if sequence not in known],
        reads_until=reads_until,
        has_more=len(waiting) == BATCH_COUNT
        or (room > 0 and (len(fresh) == READ_COUNT or len(wanted) == room)),
    )


async def _bodies(
    means: Means,
    connection: Connection,
    leased: Leased,
    secrets: Sequence[str],
    wanted: Sequence[StoredEvent],
) -> list[ToldEvent]:
    current, account_id = means.configured.current, leased.account_id
    if leased.form == WebhookForm.AIRCALL:
        return await aircall.told(connection, means.seals, current, account_id, secrets[0], wanted)
    hidden = current.api_senders.get(account_id, frozenset())
    return await bodies.told(connection, means.seals, account_id, wanted, hidden)


def _fits(leased: Leased, event: StoredEvent) -> bool:
    if leased.form == WebhookForm.AIRCALL:
        name = aircall_shapes.event_of(event.type)
        return name is not None and (not leased.events or name in leased.events)
    return subscriptions.fits(event.type, leased.events)


def _wanted(
    leased: Leased, fresh: Sequence[StoredEvent], room: int
) -> tuple[list[StoredEvent], int]:
    """Of what follows in the log, as many as there is room for of those it wants to hear; and up
    to which number that is all."""
    fitting = [event for event in fresh if _fits(leased, event)]
    if len(fitting) > room:
        return fitting[:room], fitting[room].sequence - 1
    return fitting, fresh[-1].sequence if fresh else leased.read_until


async def _tell(means: Means, leased: Leased, plan: _Plan, secrets: Sequence[str]) -> _Progress:
    """Begin the events in their order, some at the same time, until all are told or it is plain
    that they will not be taken."""
    progress = _Progress(failures=leased.failure_count)
    queue = iter(plan.told)

    def goes_on() -> bool:
        enough = progress.failures >= policy.PROBE_COUNT and progress.begun
        return not (enough or progress.asked_to_wait or means.stops())

    async def tell_one_after_another() -> None:
        while goes_on() and (event := next(queue, None)) is not None:
            progress.begun.add(event.sequence)
            async with means.requests:
                attempt = await _attempt(means, leased, plan, event, secrets)
            progress.attempts.append(attempt)
            progress.failures = 0 if attempt.is_taken else progress.failures + 1
            progress.asked_to_wait |= policy.wish_seconds(attempt, attempt.tried_at) > 0
            progress.asked_to_wait |= attempt.status == policy.GONE

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE_COUNT, len(plan.told))):
            group.create_task(tell_one_after_another())
    return progress


async def _post(
    means: Means, url: str, headers: Mapping[str, str], body: bytes
) -> egress.ShortAnswer:
    try:
        return await means.client.post(url, headers, body)
    except egress.NotAllowed:
        # Whoever accepted the webhook may know of a place that was allowed just now.
        await means.configured.refresh()
        return await means.client.post(url, headers, body)


async def _attempt(
    means: Means, leased: Leased, plan: _Plan, event: ToldEvent, secrets: Sequence[str]
) -> Attempt:
    pending = plan.pending.get(event.sequence)
    began_at, tried_at = time.monotonic(), datetime.now(UTC)
    headers = {"Content-Type": "application/json", "User-Agent": "sluice"}
    if leased.form == WebhookForm.STANDARD:
        sent_at_seconds = int(tried_at.timestamp())
        headers |= signatures.headers(secrets, event.event_id, sent_at_seconds, event.body)
    status, outcome, retry_after = 0, "answered", ""
    try:
        status, retry_after = await _post(means, leased.url, headers, event.body)
    except egress.NotAllowed:
        outcome = _NOT_ALLOWED
    except egress.NoStatus as error:
        outcome = error.why
    kind = f"{status // 100}xx" if status else outcome
    metrics.PUSH_SECONDS.labels(kind).observe(time.monotonic() - began_at)
    if (created_at := plan.created_at.get(event.sequence)) is not None:
        metrics.LATE_SECONDS.observe(max(0.0, (tried_at - created_at).total_seconds()))
    return Attempt(
        sequence=event.sequence,
        try_count=1 if pending is None else pending.try_count + 1,
        first_tried_at=tried_at if pending is None else pending.first_tried_at,
        tried_at=tried_at,
        status=status,
        outcome=outcome,
        retry_after=retry_after,
    )


def _course(leased: Leased, plan: _Plan, progress: _Progress, *, may_go_on: bool) -> pushes.Course:
    """What to write down of a round."""
    now = datetime.now(UTC)
    before = Standing(leased.failure_count, leased.failing_since)
    standing = policy.standing_after(before, progress.attempts, now)
    postponed, ended = [], list(plan.ended)
    for attempt in progress.attempts:
        if not attempt.is_taken and not policy.is_given_up(attempt, standing):
            delay_seconds = policy.delay_seconds(attempt, now, random.random)
            postponed.append(
                pushes.Postponed(
                    attempt.sequence, attempt.try_count, attempt.first_tried_at, delay_seconds
                )
            )
            continue
        if not attempt.is_taken:
            metrics.GIVEN_UP.inc()
        if attempt.sequence in plan.pending:
            ended.append(attempt.sequence)
    left = [event.sequence for event in plan.told if event.sequence not in progress.begun]
    unread = [sequence for sequence in left if sequence not in plan.pending]
    recovered = before.is_probed and any(attempt.is_taken for attempt in progress.attempts)
    goes_on = may_go_on and not (standing.pause_seconds or standing.disabled_for)
    return pushes.Course(
        read_until=min(unread) - 1 if unread else plan.reads_until,
        ended=ended,
        postponed=postponed,
        tried=[
            pushes.Tried(each.sequence, each.status, each.outcome, each.tried_at)
            for each in progress.attempts
        ],
        failure_count=standing.failure_count,
        failing_since=standing.failing_since,
        pause_seconds=standing.pause_seconds,
        is_probed=standing.is_probed,
        recovered=recovered and not standing.is_probed,
        disabled_for=standing.disabled_for,
        goes_on=goes_on and (plan.has_more or bool(left) or recovered),
    )


async def _record(
    means: Means, leased: Leased, course: pushes.Course, handed_over: Sequence[UUID] = ()
) -> bool:
    # What was told is told again if this is not written down, so it waits as long as it counts.
    async with (
        means.database.acquire(timeout=pushes.LEASE_SECONDS) as connection,
        connection.transaction(),
    ):
        kept = await pushes.record(connection, leased, course, RETRY_COUNT_MAX)
        if handed_over:
            await sealed_texts.erase(connection, handed_over)
    if kept and course.disabled_for:
        metrics.DISABLED.labels(course.disabled_for).inc()
        _log.warning(
            "webhook_disabled", webhook_id=str(leased.webhook_id), reason=course.disabled_for
        )
    return kept
