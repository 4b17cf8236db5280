"""A database with one account, two lines and messages to send, and the limiter beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio

from shared.broker import envelopes
from shared.db import (
    apply,
    ledger,
    messages,
    parking,
    pool,
    sealed_texts,
    watch,
)
from shared.limits import limiter as dispatcher_limits
from shared.limits import permits
from shared.rules.lines import Line
from shared.runtime import redis_link
from tests.drafts import draft
from tests.keys import SEALS
from tests.servers import as_services

PRICE_MICRO = 45_300
CREDIT_MICRO = 100_000_000
LINE_LIMIT = 10
"""Segments an hour on the small line."""


@dataclass(frozen=True, slots=True)
class Town:
    """What the dispatcher's parts work on."""

    pool: asyncpg.Pool
    configured: watch.Watch
    limiter: dispatcher_limits.Limiter
    redis: redis.asyncio.Redis
    small: Line
    large: Line

    async def accept(
        self,
        count: int,
        *,
        line: Line | None = None,
        segment_count: int = 1,
        **members: Any,
    ) -> list[envelopes.WorkItem]:
        """Store messages as ingest does, plain ones but for these members; returns what the relay
        would publish of them."""
        chosen = line or self.large
        body = "x" * (160 if segment_count == 1 else 153 * segment_count)
        async with self.pool.acquire() as opened, opened.transaction():
            purse = (await ledger.lock_purses(opened, [1]))[1]
            stored = [
                draft(
                    purse.wallet_id,
                    purse.revenue_wallet_id,
                    PRICE_MICRO,
                    line_id=chosen.line_id,
                    sender=chosen.sender,
                    body=body,
                    segment_count=segment_count,
                    **members,
                )
                for _ in range(count)
            ]
            await messages.insert(opened, stored)
            texts = {m.message_id: m.body for m in stored if not m.store_body}
            await sealed_texts.keep_of_messages(opened, SEALS, texts)
        return [
            envelopes.WorkItem(m.message_id, 1, m.line_id, "FR", m.segment_count, 0) for m in stored
        ]

    async def configure(self, statement: str) -> None:
        """Change what is configured, and have it read."""
        await self.pool.execute(statement)
        await self.pool.execute("UPDATE configuration_version SET version = version + 1")
        await self.configured.refresh()

    async def states(self, message_id: UUID) -> list[str]:
        """The states of a message's segments, by part."""
        async with self.pool.acquire() as opened:
            return [part.state for part in await messages.parts(opened, message_id)]

    async def status(self, message_id: UUID) -> str:
        """The message's status."""
        return str(
            await self.pool.fetchval(
                "SELECT status FROM messages WHERE message_id = $1", message_id
            )
        )

    async def balance_micro(self) -> int:
        """What the account has left."""
        async with self.pool.acquire() as opened:
            return (await ledger.balance(opened, 1))[0]

    async def used(self) -> int:
        """Segments that PostgreSQL charges the small line with."""
        return int(
            await self.pool.fetchval(
                "SELECT coalesce(sum(segment_count), 0) FROM limit_usage WHERE scope = $1",
                f"line:{self.small.line_id}",
            )
        )

    async def room(self) -> int:
        """Segments the small line may send now, by Redis."""
        head = parking.Head(self.small.line_id, 1, "FR", 1, UUID(int=0))
        (found,) = await self.limiter.peek(self.configured.current, [head])
        assert isinstance(found, dispatcher_limits.Room)
        return found.segments

    async def waiting(self) -> dict[UUID, str]:
        """Message → state of its work row."""
        return {
            row["message_id"]: row["state"]
            for row in await self.pool.fetch("SELECT message_id, state FROM work")
        }


_ROWS: tuple[apply.Row, ...] = (
    apply.Account("demo", "EUR", 1_000_000, 60),
    apply.Carrier("practice", "smpp", 0, {}),
    apply.Line("demo", "Small", "alphanumeric", "FR", False, LINE_LIMIT, 1000, 10_000),
    apply.Line("demo", "Large", "alphanumeric", "FR", True, 100_000, 100_000, 100_000),
    apply.Credit("demo", "EUR", CREDIT_MICRO),
)


@pytest.fixture
async def town(database_url: str, redis_url: str) -> AsyncIterator[Town]:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        for row in _ROWS:
            async with connection.transaction():
                await apply.put(connection, row, None)
    finally:
        await connection.close(timeout=10)
    opened = await pool.open_pool(as_services(database_url), "test", 10)
    link = redis_link.connect(redis_url)
    try:
        configured = await watch.Watch.start(opened)
        small, large = sorted(configured.current.lines.values(), key=lambda line: line.line_id)
        yield Town(
            opened,
            configured,
            dispatcher_limits.Limiter(opened, permits.Permits(link)),
            link,
            small,
            large,
        )
    finally:
        await link.aclose()
        await pool.close_pool(opened)
