"""What runs need: a database whose time they set, a Redis of their own, messages to send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import redis.asyncio

from shared.broker import envelopes
from shared.db import apply, configuration, connection, ledger, messages, migrate, pool
from shared.rules import snapshot
from shared.runtime import redis_link
from tests.drafts import draft
from tests.limits import clock
from tests.limits.redis_server import RedisServer

WORKER_COUNT = 3
WORKER_CONNECTION_COUNT = 2
COUNTRY = "FR"
RECOVERY_SECONDS = 30.0
VALID_SECONDS = 400 * 86_400
_ROWS: tuple[apply.Row, ...] = (
    apply.Account("runs", "EUR", 1_000_000, 60),
    apply.Carrier("practice", "smpp", 0, {}),
    apply.Line("runs", "First", "alphanumeric", COUNTRY, True, 1, 1, 1),
    apply.Line("runs", "Second", "alphanumeric", COUNTRY, False, 1, 1, 1),
    apply.Credit("runs", "EUR", 10**15),
)


@dataclass(frozen=True, slots=True)
class Ways:
    """One worker's ways to the servers, kept over many runs."""

    pool: asyncpg.Pool
    link: redis.asyncio.Redis


@dataclass(slots=True)
class Stage:
    """Where runs take place, one after the other."""

    redis: RedisServer
    clock: clock.RunClock
    owner: asyncpg.Connection
    beside: asyncpg.Connection
    """For a transaction that stays open."""
    ways: Sequence[Ways]
    configured: snapshot.Configuration
    restart_database: Callable[[], None] | None
    """Kills PostgreSQL and starts it again; None where others need it."""
    owner_url: str = field(repr=False)

    async def crash_database(self) -> None:
        """Kill PostgreSQL, and go on when it is back."""
        assert self.restart_database is not None
        await asyncio.to_thread(self.restart_database)
        self.owner, self.beside = await _recovered(self.owner_url)
        await self.clock.set(self.owner, self.clock.true_ms)

    async def close(self) -> None:
        """Let go of the database."""
        self.owner.terminate()
        self.beside.terminate()

    async def clear(self) -> None:
        """Forget what the run before has left."""
        await self.owner.execute(
            "TRUNCATE limit_usage, work, parked_lines, submits, trail_pages, event_pages"
        )
        self.redis.forget_snapshot()
        self.redis.wipe()

    async def accept(self, wanted: Sequence[tuple[int, int]]) -> list[envelopes.WorkItem]:
        """Store messages of (line id, segments) as ingest does, and hand them out as the relay."""
        async with self.owner.transaction():
            purse = (await ledger.lock_purses(self.owner, [1]))[1]
            drafts = [
                draft(
                    purse.wallet_id,
                    purse.revenue_wallet_id,
                    1,
                    line_id=line_id,
                    sender=self.configured.lines[line_id].sender,
                    body="x" * (160 if segment_count == 1 else 153 * segment_count),
                    segment_count=segment_count,
                    valid_seconds=VALID_SECONDS,
                )
                for line_id, segment_count in wanted
            ]
            await messages.insert(self.owner, drafts)
            await self.owner.execute(
                "UPDATE work SET state = 'published' WHERE message_id = ANY ($1)",
                [each.message_id for each in drafts],
            )
        return [
            envelopes.WorkItem(each.message_id, 1, each.line_id, COUNTRY, each.segment_count, 0)
            for each in drafts
        ]


@asynccontextmanager
async def opened(
    owner_url: str,
    services_url: str,
    folder: Path,
    restart_database: Callable[[], None] | None = None,
) -> AsyncIterator[Stage]:
    """A stage in this empty database, with a Redis in this folder."""
    async with AsyncExitStack() as stack:
        await _prepare(owner_url)
        owner, beside = [await asyncpg.connect(owner_url, timeout=10) for _ in range(2)]
        server = RedisServer(folder)
        stack.callback(server.kill)
        server.start()
        ways = []
        for _ in range(WORKER_COUNT):
            database = await pool.open_pool(services_url, "limits", WORKER_CONNECTION_COUNT)
            stack.push_async_callback(pool.close_pool, database)
            link = await stack.enter_async_context(redis_link.connect(server.url))
            ways.append(Ways(database, link))
        current = await configuration.load(owner)
        found = Stage(
            server, clock.RunClock(), owner, beside, ways, current, restart_database, owner_url
        )
        stack.push_async_callback(found.close)
        yield found


async def _recovered(owner_url: str) -> list[asyncpg.Connection]:
    """Two connections, as soon as the server has read its log again."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            return [await asyncpg.connect(owner_url, timeout=10) for _ in range(2)]
        except connection.UNREACHABLE:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def _prepare(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url, timeout=10)
    try:
        await migrate.migrate(owner)
        for row in _ROWS:
            async with owner.transaction():
                await apply.put(owner, row, None)
        await clock.put_into(owner)
    finally:
        await owner.close(timeout=10)
