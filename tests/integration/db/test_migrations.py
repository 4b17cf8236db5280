"""Migrations on a real database: once each, many at once, and old processes that live on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from shared.db import migrate, schema
from shared.db.schema import Migration
from tests.integration.commands.sluice import Command

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE first (id integer)")
GROW = Migration(2, "0002_grow.sql", "CREATE TABLE second (id integer)")
SHRINK = Migration(3, "0003_shrink.sql", "DROP TABLE first", serves_from=2)
AFTER = Migration(4, "0004_after.sql", "CREATE TABLE fourth (id integer)")


@asynccontextmanager
async def connected(url: str, name: str = "test") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10, server_settings={"application_name": name})
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(empty_database_url) as opened:
        yield opened


async def tables(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return sorted(row["relname"] for row in rows)


async def test_migrations_applied_twice_are_applied_once(connection: asyncpg.Connection) -> None:
    # Given a database with every migration of the house, When they are applied again
    first = await migrate.migrate(connection)
    again = await migrate.migrate(connection)
    # Then nothing happened, and the code can live there
    assert first.applied == [migration.name for migration in schema.known()]
    assert again == ([], {})
    await migrate.verify(connection)


async def test_every_migration_is_applied_once_when_two_processes_migrate_at_once(
    connection: asyncpg.Connection, empty_database_url: str
) -> None:
    # Given an empty database, When two processes migrate it
    async with connected(empty_database_url) as other:
        both = await asyncio.gather(migrate.migrate(connection), migrate.migrate(other))
    # Then one has done it all, and neither has stumbled
    assert sorted(len(outcome.applied) for outcome in both) == [0, len(schema.known())]


async def test_an_empty_an_older_and_a_changed_database_are_refused(
    connection: asyncpg.Connection,
) -> None:
    with pytest.raises(schema.SchemaMismatch, match="empty"):
        await migrate.verify(connection, [FIRST])
    await migrate.migrate(connection, [FIRST])
    with pytest.raises(schema.SchemaMismatch, match=r"lacks 0002_grow\.sql"):
        await migrate.verify(connection, [FIRST, GROW])
    changed = Migration(1, FIRST.name, FIRST.sql + " -- edited")
    for act in (migrate.verify, migrate.migrate):
        with pytest.raises(schema.SchemaMismatch, match=r"0001_first\.sql was changed"):
            await act(connection, [changed])


async def test_a_newer_database_serves_older_code_until_a_contract_says_otherwise(
    connection: asyncpg.Connection,
) -> None:
    # Given code that knows the first file only, and a database that has grown
    await migrate.migrate(connection, [FIRST, GROW])
    # Then it lives on, and has nothing to migrate
    await migrate.verify(connection, [FIRST])
    assert await migrate.migrate(connection, [FIRST]) == ([], {})
    # When the database shrinks, Then it is refused, and code of the number served is not
    await migrate.migrate(connection, [FIRST, GROW, SHRINK])
    for act in (migrate.verify, migrate.migrate):
        with pytest.raises(schema.SchemaMismatch, match="start a newer version"):
            await act(connection, [FIRST])
    await migrate.verify(connection, [FIRST, GROW])


async def test_a_contract_waits_for_the_last_older_process_and_nothing_else_does(
    connection: asyncpg.Connection, empty_database_url: str
) -> None:
    # Given a database of the first release with a process on it, and one of the second
    await migrate.migrate(connection, [FIRST])
    async with connected(empty_database_url, "sluice-dlr/2"):
        async with connected(empty_database_url, "sluice-ingest") as old:
            # When the newest code migrates
            outcome = await migrate.migrate(connection, [FIRST, GROW, SHRINK, AFTER])
            # Then all that adds is there, and the contract names whom it waits for
            assert outcome.applied == [GROW.name, AFTER.name]
            assert outcome.waiting == {SHRINK.name: ["sluice-ingest"]}
            await old.execute("INSERT INTO first VALUES (1)")
            await migrate.verify(connection, [FIRST, GROW, SHRINK, AFTER])
        await gone(connection, "sluice-ingest")
        # When the old process is gone, Then the contract is applied beside the newer one
        outcome = await migrate.migrate(connection, [FIRST, GROW, SHRINK, AFTER])
    assert outcome == ([SHRINK.name], {})
    assert await tables(connection) == ["fourth", "schema_migrations", "second"]


async def gone(connection: asyncpg.Connection, name: str) -> None:
    async with asyncio.timeout(10):
        while await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = $1 AND datname = current_database()",
            name,
        ):
            await asyncio.sleep(0.01)


async def test_a_migration_gives_way_to_a_lock_and_comes_back(
    connection: asyncpg.Connection, empty_database_url: str
) -> None:
    # Given a transaction that holds the table for longer than a migration stands in the queue
    await migrate.migrate(connection, [FIRST])
    drop = Migration(2, "0002_wider.sql", "ALTER TABLE first ADD COLUMN more integer")
    async with connected(empty_database_url) as busy:
        transaction = busy.transaction()
        await transaction.start()
        await busy.execute("INSERT INTO first VALUES (1)")
        # When the migration is tried, and a reader comes meanwhile
        migrating = asyncio.create_task(migrate.migrate(connection, [FIRST, drop]))
        async with connected(empty_database_url) as reader:
            await reader.fetch("SELECT * FROM first", timeout=5)
        assert not migrating.done()
        await transaction.commit()
        # Then the reader was answered, and the migration is applied in the end
        assert (await migrating).applied == [drop.name]


async def test_a_database_of_the_first_release_is_told_apart_and_brought_forward(
    connection: asyncpg.Connection,
) -> None:
    # Given the table of migrations as the first release made it
    await migrate.migrate(connection, schema.known()[:1])
    await connection.execute("ALTER TABLE schema_migrations DROP COLUMN serves_from")
    with pytest.raises(schema.SchemaMismatch, match="run `sluice migrate`"):
        await migrate.verify(connection)
    # When it is migrated, Then this code can live there
    await migrate.migrate(connection)
    await migrate.verify(connection)


async def test_the_command_says_what_it_did_and_that_there_is_no_more(command: Command) -> None:
    # Given a database that has been migrated
    again = await command("migrate")
    assert (again.code, again.output) == (0, "nothing to migrate\n")
