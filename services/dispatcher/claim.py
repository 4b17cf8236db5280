"""The intent, committed before any byte leaves (law 3), behind the limiter's fence (law 6)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from shared.access.seals import Seals
from shared.broker.envelopes import WorkItem
from shared.db import (
    connection,
    limits,
    opt_outs,
    sealed_texts,
    segments,
    submits,
    trail,
    work,
)
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Limiter, Permit
from shared.sms.states import SegmentState

_log = structlog.get_logger()


class StaleEpoch(Exception):
    """The permits are from before the limiter lost its memory; they count for nothing now."""


class ClocksApart(Exception):
    """Redis and PostgreSQL do not agree about the time, so a limit could be exceeded by either."""


class Unheard(Exception):
    """The answer to the commit was lost: the claim may stand, though its worker will not send (see
    `unheard`)."""

    def __init__(self, transaction: connection.Transaction) -> None:
        super().__init__(f"nothing was heard of transaction {transaction.transaction_id}")
        self.transaction = transaction


UNREADABLE = "its text, which was not to be kept, cannot be read any more"

Granted = tuple[WorkItem, Permit]
"""A message, and the leave to send it."""


class Unused(NamedTuple):
    """Segments of a message that are proved to have been taken by nobody, and their permit."""

    message: WorkItem | work.Claimed
    permit: Permit
    segment_count: int


async def claim(
    pool: asyncpg.Pool,
    seals: Seals,
    worker_id: UUID,
    carrier_id: int,
    granted: Sequence[Granted],
) -> list[work.Claimed]:
    """Commit the intent for the messages of a carrier that nobody else has claimed, whose time is
    not over and whose permit is for all that they still need, and charge their limits. What is for
    a phone that has opted out is canceled instead, and what no key opens has failed. The permits
    are of one epoch. Raises StaleEpoch or ClocksApart, with nothing committed, and Unheard."""
    epoch = granted[0][1].epoch
    used = usage((item, permit, item.segment_count) for item, permit in granted)
    counts = {item.message_id: item.segment_count for item, _ in granted}
    done: connection.Transaction | None = None
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            began = time.monotonic()
            async with limits.behind_fence(opened):
                found = await work.claim(opened, counts, worker_id, epoch, used, carrier_id)
                if found.epoch != epoch:
                    raise StaleEpoch
                if not _in_time(granted, began, found.transaction.began_at):
                    raise ClocksApart
                live = [message for message in found.messages if not message.opted_out]
                if len(live) < len(granted):
                    await _tidy(opened, worker_id, granted, found.messages)
                done = found.transaction
                if not all(message.body for message in live):
                    live = await _unsealed(opened, seals, worker_id, live, granted)
    except connection.TRANSIENT as error:
        if done:
            raise Unheard(done) from error
        raise
    return live


def _in_time(granted: Sequence[Granted], began: float, began_at: datetime) -> bool:
    """What was granted together has one time."""
    different = {permit.granted_at_ms: permit for _, permit in granted}
    return all(permit.in_time(began, began_at) for permit in different.values())


async def _tidy(
    opened: connection.Connection,
    worker_id: UUID,
    granted: Sequence[Granted],
    found: Sequence[work.Claimed],
) -> None:
    """Not all may be submitted: end what is for phones that have opted out, and charge the rest."""
    unwanted = [message.message_id for message in found if message.opted_out]
    if unwanted:
        await cancel(opened, unwanted)
    claimed = {message.message_id for message in found if not message.opted_out}
    few = [(item, permit, item.segment_count) for item, permit in granted]
    used = usage(each for each in few if each[0].message_id in claimed)
    await limits.charge(opened, worker_id, used)


async def _unsealed(
    opened: connection.Connection,
    seals: Seals,
    worker_id: UUID,
    live: Sequence[work.Claimed],
    granted: Sequence[Granted],
) -> list[work.Claimed]:
    """The messages with their texts. One whose text cannot be read, because its key is gone, ends
    here, and is charged no more."""
    texts = await sealed_texts.opened(
        opened, seals, [message.message_id for message in live if not message.body]
    )
    readable: list[work.Claimed] = []
    lost: list[work.Claimed] = []
    for message in live:
        if message.body:
            readable.append(message)
        elif (text := texts.get(message.message_id)) is not None:
            readable.append(message._replace(body=text.decode()))
        else:
            lost.append(message)
    if lost:
        ended = [
            submits.Submit(message.message_id, part, message.submitted_at)
            for message in lost
            for part in message.parts
        ]
        await segments.settle_all(opened, ended, SegmentState.FAILED, UNREADABLE)
        permits = {item.message_id: permit for item, permit in granted}
        unused = [Unused(each, permits[each.message_id], len(each.parts)) for each in lost]
        await discharge(opened, worker_id, unused)
        _log.error("sealed_texts_not_readable", message_count=len(lost))
    return readable


def usage(parts: Iterable[tuple[WorkItem | work.Claimed, Permit, int]]) -> limits.Usage:
    """What (message, its permit, segments) are charged: every scope that has given tokens for it.
    Those without a limit today are `unlimited`'s."""
    used: Counter[tuple[str, int]] = Counter()
    for _, permit, count in parts:
        minute = permit.minute
        for scope in permit.scopes:
            used[scope, minute] += count
    return used


async def discharge(
    opened: connection.Connection, worker_id: UUID, unused: Sequence[Unused]
) -> None:
    """Charge this no more, in the transaction that proves it; once that is committed, `give_back`
    is right."""
    await limits.charge(opened, worker_id, {k: -count for k, count in usage(unused).items()})


async def give_back(limiter: Limiter, unused: Iterable[Unused]) -> None:
    """Let others have these tokens. Those of one minute and the same scopes stand in the same
    slots: they go together."""
    together: dict[tuple[int, tuple[str, ...], int], Permit] = {}
    for _, permit, count in unused:
        key = (permit.epoch, permit.scopes, permit.minute)
        known_count = together[key].segment_count if key in together else 0
        together[key] = permit._replace(segment_count=known_count + count)
    for permit in together.values():
        await limiter.give_back(permit)


async def requeue(
    opened: connection.Connection, found: Sequence[submits.Submit], step: trail.TrailStep
) -> list[segments.Unsent]:
    """Queue segments again, unless they have been submitted again meanwhile, and note why; those
    whose submit this call has ended."""
    settled = await segments.settle_all(opened, found, SegmentState.QUEUED)
    queued = {(each.message_id, each.part) for each in settled.unsent}
    moved = [each for each in found if (each.message_id, each.part) in queued]
    await trail.mark(opened, trail.of_submits(moved, step))
    again = sorted({submit.message_id for submit in found})
    await work.requeue(opened, [work.Deferral(message_id) for message_id in again])
    return [each for each in settled.unsent if each.by_this]


async def cancel(opened: connection.Connection, message_ids: list[UUID]) -> None:
    """End the waiting segments of messages to phones that have opted out, whose work rows the
    caller has deleted."""
    await segments.settle_waiting(opened, message_ids, SegmentState.CANCELED, opt_outs.REASON)


async def expire(opened: connection.Connection, message_ids: list[UUID]) -> None:
    """End the waiting segments of messages whose work row the caller has deleted."""
    await segments.settle_waiting(
        opened, message_ids, SegmentState.EXPIRED, "not sent within its validity"
    )
