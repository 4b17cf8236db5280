"""A platform's books with a message in every place, written by the product's own functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from shared.db import apply, events, ledger, limits, messages, parking, segments, workers
from shared.runtime import ids
from shared.sms.states import SegmentState
from tests import claims
from tests.drafts import draft

PRICE_MICRO = 45_300
WORKER = ids.uuid7()

_CONFIGURATION: tuple[apply.Row, ...] = (
    apply.Account("demo", "EUR", 1000, 60),
    apply.Account("other", "EUR", 1000, 60),
    apply.Carrier("practice", "smpp", 0, {}),
    apply.Line("demo", "Sluice", "alphanumeric", "FR", True, 100, 1000, 10_000),
    apply.Line("other", "Other", "alphanumeric", "FR", True, 100, 1000, 10_000),
    apply.Credit("demo", "EUR", 100_000_000),
)


@dataclass(frozen=True, slots=True)
class Books:
    """Messages of two segments each, named for where they are."""

    queued: UUID
    parked: UUID
    scheduled: UUID
    submitting: UUID
    submitted: UUID
    delivered: UUID
    refunded: UUID


async def write(connection: asyncpg.Connection) -> Books:
    """An account with a message in every place, all of it right."""
    for row in _CONFIGURATION:
        async with connection.transaction():
            await apply.put(connection, row, None)
    message_ids = [ids.uuid7() for _ in range(7)]
    await _accept(connection, message_ids)
    written = Books(*message_ids)
    await workers.beat(connection, WORKER)
    async with connection.transaction():
        await parking.park(connection, [written.parked], {1: 2_000_000_000_000})
        await settle(connection, written.parked, SegmentState.PARKED)
    async with connection.transaction():
        claimed = await claims.claim(connection, message_ids[3:], WORKER)
        await limits.charge(connection, WORKER, {("line:1", await _minute(connection)): 8})
        assert len(claimed) == 4
    async with connection.transaction():
        for message_id in (written.submitted, written.delivered):
            await settle(connection, message_id, SegmentState.SUBMITTED, accepted=True)
        await settle(connection, written.refunded, SegmentState.REJECTED)
    async with connection.transaction():
        await settle(connection, written.delivered, SegmentState.DELIVERED, accepted=True)
    return written


async def _accept(connection: asyncpg.Connection, message_ids: list[UUID]) -> None:
    async with connection.transaction():
        purse = (await ledger.lock_purses(connection, [1]))[1]
        await messages.insert(
            connection,
            [
                draft(
                    purse.wallet_id,
                    purse.revenue_wallet_id,
                    PRICE_MICRO,
                    message_id=message_id,
                    body="x" * 200,
                    segment_count=2,
                    send_at=datetime.now(UTC) + timedelta(hours=1) if place == 2 else None,
                )
                for place, message_id in enumerate(message_ids)
            ],
        )


async def settle(
    connection: asyncpg.Connection,
    message_id: UUID,
    state: SegmentState,
    *,
    accepted: bool = False,
) -> None:
    """Let evidence about both segments of a message act, and its event be a page."""
    await note(connection, message_id, state, accepted=accepted)
    await events.number(connection)


async def note(
    connection: asyncpg.Connection,
    message_id: UUID,
    state: SegmentState,
    *,
    accepted: bool = False,
) -> None:
    """The same with an event that is not numbered yet."""
    await segments.settle(
        connection,
        [segments.Evidence(message_id, part, state, accepted=accepted) for part in (1, 2)],
    )


async def _minute(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT extract(epoch FROM now())::bigint / 60"))


async def count_events(connection: asyncpg.Connection) -> int:
    """How many events the account has."""
    return len(await events.after(connection, 1, 0, 100))
