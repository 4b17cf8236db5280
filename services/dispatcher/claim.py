"""The intent, committed before any byte leaves (law 3), behind the limiter's fence (law 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

import asyncpg

from shared.db import connection, limits, segments, submits, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Permit, scope_names
from shared.sms.states import SegmentState


class StaleEpoch(Exception):
    """The permits are from before the limiter lost its memory; they count for nothing now."""


class Unheard(Exception):
    """The answer to the commit was lost: the claim may stand, though its worker will not send."""

    def __init__(self, transaction: connection.Transaction) -> None:
        super().__init__(f"nothing was heard of transaction {transaction.transaction_id}")
        self.transaction = transaction


async def claim(
    pool: asyncpg.Pool, worker_id: UUID, granted: Mapping[UUID, Permit]
) -> list[work.Claimed]:
    """Commit `queued → submitting` for the messages that nobody else has claimed and whose time is
    not over, and charge their limits. Raises StaleEpoch, with nothing committed, and Unheard.
    Messages whose time is over are expired and refunded here, those that need another permit are
    put back."""
    done: connection.Transaction | None = None
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            epoch, transaction = await limits.stand_at_fence(opened)
            if any(permit.epoch != epoch for permit in granted.values()):
                raise StaleEpoch
            live, expired = await work.claim(opened, list(granted), worker_id)
            others = [m for m in live if len(m.parts) != granted[m.message_id].segment_count]
            if others:
                live = [m for m in live if len(m.parts) == granted[m.message_id].segment_count]
                await _put_back(opened, others)
            await expire(opened, expired)
            await limits.charge(opened, worker_id, usage(_parts(live, granted)))
            done = transaction
    except connection.TRANSIENT as error:
        if done:
            raise Unheard(done) from error
        raise
    return live


Usage = Mapping[tuple[str, int], int]
"""(scope, minute of the permit) → segments, as the limits are charged."""


def _parts(
    live: Iterable[work.Claimed], granted: Mapping[UUID, Permit]
) -> Iterator[tuple[work.Claimed, Permit, int]]:
    for message in live:
        yield message, granted[message.message_id], len(message.parts)


def usage(parts: Iterable[tuple[work.Claimed, Permit, int]]) -> Usage:
    """What (message, its permit, segments) are charged."""
    used: dict[tuple[str, int], int] = defaultdict(int)
    for message, permit, count in parts:
        for scope in scope_names(message.line_id, message.account_id, message.country):
            used[scope, permit.minute] += count
    return used


async def _put_back(opened: connection.Connection, others: Iterable[work.Claimed]) -> None:
    """A message that has got more parts to submit than its permit is for, since it was published:
    it is published anew."""
    await requeue(
        opened,
        [submits.Submit(m.message_id, part, m.submitted_at) for m in others for part in m.parts],
    )


async def requeue(opened: connection.Connection, found: Sequence[submits.Submit]) -> None:
    """Queue segments again, unless they have been submitted again meanwhile."""
    await segments.settle_all(opened, found, SegmentState.QUEUED)
    again = sorted({submit.message_id for submit in found})
    await work.requeue(opened, [work.Deferral(message_id) for message_id in again])


async def expire(opened: connection.Connection, message_ids: list[UUID]) -> None:
    """End the waiting segments of messages whose work row the caller has deleted."""
    await segments.settle_waiting(
        opened, message_ids, SegmentState.EXPIRED, "not sent within its validity"
    )
