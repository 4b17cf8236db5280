"""PostgreSQL killed while transactions commit: what it says of them afterwards is what it kept."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.servers import Servers
from shared.db import connection
from shared.db.connection import Transaction

WRITER_COUNT = 20
COMMIT_COUNT = 300
ANSWER_SECONDS = 60.0
GONE = (*connection.UNREACHABLE, asyncpg.PostgresError)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Servers]:
    """A durable PostgreSQL of this test's own."""
    elsewhere = {
        "SLUICE_AMQP_URL": "amqp://elsewhere.invalid/",
        "SLUICE_REDIS_URL": "redis://elsewhere.invalid/",
    }
    tmp_path.chmod(0o711)
    servers = Servers(tmp_path, elsewhere)
    try:
        servers.start()
        yield servers
    finally:
        servers.abandon()
        servers.place.forget_data()


class Writer:
    """Commits one row a transaction until the server is gone; knows what it heard of."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.heard: dict[uuid.UUID, Transaction] = {}
        self.unheard: dict[uuid.UUID, Transaction] = {}

    async def run(self) -> None:
        """Return when PostgreSQL has gone."""
        try:
            opened = await asyncpg.connect(self._url, timeout=10)
            while True:
                await self._commit(opened)
        except GONE:
            return

    async def _commit(self, opened: asyncpg.Connection) -> None:
        async with opened.transaction():
            name = await self.write(opened)
        self.heard[name] = self.unheard.pop(name)

    async def write(self, opened: asyncpg.Connection) -> uuid.UUID:
        """A row in a transaction that nothing has been heard of yet."""
        name = uuid.uuid4()
        row = await opened.fetchrow("SELECT pg_current_xact_id()::text, now()")
        assert row is not None
        self.unheard[name] = Transaction(*row)
        await opened.execute("INSERT INTO kept VALUES ($1)", name)
        return name


async def test_what_is_said_of_a_commit_after_a_crash_is_what_was_kept(postgres: Servers) -> None:
    # Given many transactions that commit, and one that does not
    url = postgres.database_url
    opened = await asyncpg.connect(url, timeout=10)
    await opened.execute("CREATE TABLE kept (name uuid)")
    writers = [Writer(url) for _ in range(WRITER_COUNT)]
    await opened.transaction().start()
    await writers[0].write(opened)
    running = [asyncio.create_task(writer.run()) for writer in writers]
    async with asyncio.timeout(ANSWER_SECONDS):
        while sum(len(writer.heard) for writer in writers) < COMMIT_COUNT:
            await asyncio.sleep(0.01)
    # When PostgreSQL is killed in the middle, and comes back
    await asyncio.to_thread(postgres.kill, "postgres")
    opened.terminate()
    await asyncio.gather(*running)
    await asyncio.to_thread(postgres.restart, "postgres")
    opened = await asyncpg.connect(url, timeout=10)
    try:
        rows = await opened.fetch("SELECT name, xmin::text FROM kept")
        kept = {row["name"]: row["xmin"] for row in rows}
        heard = {name: each for writer in writers for name, each in writer.heard.items()}
        unheard = {name: each for writer in writers for name, each in writer.unheard.items()}
        # Then nothing that was heard of is gone, and all of it is said to be committed
        assert heard.keys() <= kept.keys()
        assert {await connection.committed(opened, each) for each in heard.values()} == {True}
        # and of the rest each is told sooner or later, and never as lost what was kept
        assert unheard
        for name, transaction in unheard.items():
            if await told(opened, transaction) is False:
                assert name not in kept
            elif name not in kept:
                # Its id left no trace, and another transaction bears it now.
                assert transaction.transaction_id not in kept.values()
    finally:
        await opened.close(timeout=10)


async def told(opened: asyncpg.Connection, transaction: Transaction) -> bool:
    """What became of a transaction, asked until others have passed its id, as beats of workers
    do."""
    async with asyncio.timeout(ANSWER_SECONDS):
        while (answer := await connection.committed(opened, transaction)) is None:
            await opened.execute("SELECT pg_current_xact_id()")
    return answer


async def _begun_as_it_crashes(postgres: Servers) -> Transaction:
    """A transaction that had an id and had written nothing when PostgreSQL was killed."""
    opened = await asyncpg.connect(postgres.database_url, timeout=10)
    transaction = opened.transaction()
    await transaction.start()
    row = await opened.fetchrow("SELECT pg_current_xact_id()::text, now()")
    assert row is not None
    await asyncio.to_thread(postgres.kill, "postgres")
    opened.terminate()
    await asyncio.to_thread(postgres.restart, "postgres")
    return Transaction(*row)


async def _is_traced(postgres: Servers, transaction: Transaction) -> bool:
    opened = await asyncpg.connect(postgres.database_url, timeout=10)
    try:
        return await connection.committed(opened, transaction) is not None
    finally:
        await opened.close(timeout=10)


async def test_an_id_that_a_crash_swallowed_is_no_error_and_comes_back(postgres: Servers) -> None:
    # Given a transaction that has an id and has written nothing, when PostgreSQL is killed; unless
    # it wrote down just then, as it does every 15 s, which ids it had given
    swallowed = await _begun_as_it_crashes(postgres)
    if await _is_traced(postgres, swallowed):
        swallowed = await _begun_as_it_crashes(postgres)
    # Then nothing can be said of it at first
    opened = await asyncpg.connect(postgres.database_url, timeout=10)
    try:
        assert await connection.committed(opened, swallowed) is None
        # and when its id has been given to another that commits, that one is meant
        given = await opened.fetchval("SELECT pg_current_xact_id()::text")
        assert int(given) <= int(swallowed.transaction_id)
        assert await told(opened, swallowed) is True
    finally:
        await opened.close(timeout=10)
