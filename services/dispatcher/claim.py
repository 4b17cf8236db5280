"""The intent, committed before any byte leaves (law 3), behind the limiter's fence (law 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

import asyncpg

from services.dispatcher.limits import Permit, scope_names
from shared.db import connection, limits, segments, work
from shared.sms.states import SegmentState


class StaleEpoch(Exception):
    """The permits are from before the limiter lost its memory; they count for nothing now."""


async def claim(
    pool: asyncpg.Pool, worker_id: UUID, granted: Mapping[UUID, Permit]
) -> list[work.Claimed]:
    """Commit `queued → submitting` for the messages that nobody else has claimed and whose time is
    not over, and charge their limits. All permits are of one epoch. Raises StaleEpoch, with nothing
    committed; messages whose time is over are expired and refunded here."""
    epoch = next(iter(granted.values())).epoch
    async with pool.acquire(timeout=5) as opened, opened.transaction():
        if await limits.stand_at_fence(opened) != epoch:
            raise StaleEpoch
        live, expired = await work.claim(opened, list(granted), worker_id)
        used: dict[tuple[str, int], int] = defaultdict(int)
        for message in live:
            permit = granted[message.message_id]
            for scope in scope_names(message.line_id, message.account_id, message.country):
                used[scope, permit.minute] += len(message.parts)
        await limits.charge(opened, worker_id, used)
        if expired:
            await expire(opened, expired)
    return live


async def expire(opened: connection.Connection, message_ids: list[UUID]) -> None:
    """End the waiting segments of messages whose work row the caller has deleted."""
    await segments.settle(
        opened,
        [
            segments.Evidence(
                message_id, part, SegmentState.EXPIRED, reason="not sent within its validity"
            )
            for message_id, part in await work.waiting_parts(opened, message_ids)
        ],
    )
