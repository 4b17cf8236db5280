"""The intent, committed before any byte leaves (law 3), behind the limiter's fence (law 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from shared.db import connection, limits, segments, work
from shared.limits.limiter import Permit, scope_names
from shared.sms.states import SegmentState


class StaleEpoch(Exception):
    """The permits are from before the limiter lost its memory; they count for nothing now."""


class Unheard(Exception):
    """The answer to the commit was lost: the claim may stand, though its worker will not send."""

    def __init__(self, transaction_id: str) -> None:
        super().__init__(f"nothing was heard of transaction {transaction_id}")
        self.transaction_id = transaction_id


async def claim(
    pool: asyncpg.Pool, worker_id: UUID, granted: Mapping[UUID, Permit]
) -> list[work.Claimed]:
    """Commit `queued → submitting` for the messages that nobody else has claimed and whose time is
    not over, and charge their limits. Raises StaleEpoch, with nothing
    committed, and Unheard; messages whose time is over are expired and refunded here."""
    transaction_id = ""
    try:
        async with pool.acquire(timeout=5) as opened, opened.transaction():
            epoch, fenced_id = await limits.stand_at_fence(opened)
            if any(permit.epoch != epoch for permit in granted.values()):
                raise StaleEpoch
            live, expired = await work.claim(opened, list(granted), worker_id)
            await limits.charge(opened, worker_id, _usage(live, granted))
            if expired:
                await expire(opened, expired)
            transaction_id = fenced_id
    except connection.TRANSIENT as error:
        if transaction_id:
            raise Unheard(transaction_id) from error
        raise
    return live


def _usage(
    live: Sequence[work.Claimed], granted: Mapping[UUID, Permit]
) -> dict[tuple[str, int], int]:
    """(scope, minute of the permit) → segments, as the limits are charged."""
    used: dict[tuple[str, int], int] = defaultdict(int)
    for message in live:
        permit = granted[message.message_id]
        for scope in scope_names(message.line_id, message.account_id, message.country):
            used[scope, permit.minute] += len(message.parts)
    return used


async def expire(opened: connection.Connection, message_ids: list[UUID]) -> None:
    """End the waiting segments of messages whose work row the caller has deleted."""
    await segments.settle_waiting(
        opened, message_ids, SegmentState.EXPIRED, "not sent within its validity"
    )
