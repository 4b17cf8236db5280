"""What the role of services may do to the books: write them, and nothing else."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from deploy.local.servers import Servers
from shared.db import migrate, schema
from tests.integration.audit import books
from tests.integration.commands.sluice import Command
from tests.servers import as_services, in_database

BOOKS = ("transfers", "events", "event_pages")
REFUSED = [
    *(f"UPDATE {table} SET created_at = now()" for table in BOOKS),
    *(f"DELETE FROM {table}" for table in BOOKS),
    *(f"TRUNCATE {table}" for table in (*BOOKS, "messages", "work")),
    "DELETE FROM wallets",
    "DELETE FROM messages",
    "DELETE FROM segments",
    "DELETE FROM receipts",
    "UPDATE receipt_pages SET carrier_id = 0",
    "DELETE FROM receipt_pages",
    "UPDATE trail_pages SET details = details",
    "DELETE FROM trail_pages",
    "DELETE FROM ended_tokens",
    "UPDATE event_notes SET created_at = now()",
    "DELETE FROM event_notes",
    "SELECT number_notes('{}')",
    "INSERT INTO statistics_pages (entries) VALUES ('{}')",
    "DELETE FROM statistics_pages",
    "UPDATE statistics SET message_count = 0",
    "DELETE FROM statistics",
    "DELETE FROM statistics_filling",
    "ALTER TABLE messages DISABLE TRIGGER count_changed",
    "UPDATE inbound SET account_id = 1",
    "DELETE FROM inbound",
    "DELETE FROM inbound_heads",
    "UPDATE opt_outs SET source = 'operator'",
    "DELETE FROM opt_outs",
    "UPDATE transfers SET amount_micro = amount_micro",
    "UPDATE ledger_links SET sha256 = sha256",
    "DELETE FROM ledger_links",
    "DELETE FROM deposits",
    "UPDATE deposits SET amount_micro = 1000000000",
    "UPDATE deposits SET account_id = 1",
    "UPDATE deposits SET currency = 'USD'",
    "DELETE FROM cards",
    "UPDATE cards SET fingerprint = ''",
    "UPDATE payment_events SET type = ''",
    "DELETE FROM payment_events",
    "UPDATE payment_disputes SET amount_micro = 0",
    "DELETE FROM payment_disputes",
    "UPDATE terms SET text_en = ''",
    "DELETE FROM terms",
    "ALTER TABLE deposits DISABLE TRIGGER ALL",
    "DROP TRIGGER transfers_are_immutable ON transfers",
    "ALTER TABLE transfers DISABLE TRIGGER ALL",
    "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_micro_check",
    "ALTER TABLE messages ADD COLUMN more text",
    "DROP TABLE events",
    "CREATE TABLE ours (id integer)",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "UPDATE schema_migrations SET sha256 = ''",
    "INSERT INTO schema_migrations (number, name, sha256) VALUES (99, '', '')",
    "DELETE FROM schema_migrations",
    "SET session_replication_role = replica",
    "CREATE ROLE another",
    "COPY messages TO '/tmp/messages'",
]


@pytest.fixture
async def owner(owner: asyncpg.Connection) -> asyncpg.Connection:
    """The schema's owner, with a message in every place."""
    await books.write(owner)
    return owner


@pytest.fixture
async def services(
    owner: asyncpg.Connection, services_url: str
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(services_url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def test_services_can_rewrite_no_book_and_change_no_schema(
    services: asyncpg.Connection,
) -> None:
    # Given books with something in them, Then the role is refused whatever would rewrite them
    for statement in REFUSED:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await services.execute(statement)


async def test_later_tables_serve_services_unless_they_take_rights_back(
    owner: asyncpg.Connection, services: asyncpg.Connection
) -> None:
    # Given tables of later migrations, one of them a book
    await owner.execute(
        "CREATE TYPE new_later AS (id integer);"
        "CREATE TABLE later (id serial, word text);"
        "CREATE TABLE later_book (id integer GENERATED ALWAYS AS IDENTITY, word text);"
        "REVOKE UPDATE, DELETE ON later_book FROM sluice_services"
    )
    # Then services work with the first, and only write the second
    await services.execute("INSERT INTO later (word) VALUES ('a')")
    await services.execute("UPDATE later SET word = 'b'; DELETE FROM later")
    await services.execute("INSERT INTO later SELECT id FROM unnest($1::new_later[])", [(1,)])
    await services.execute("INSERT INTO later_book (word) VALUES ('a')")
    for statement in ("UPDATE later_book SET word = ''", "DELETE FROM later_book"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await services.execute(statement)


async def test_a_private_servers_services_come_as_a_user_without_power(servers: Servers) -> None:
    if "SLUICE_DATABASE_URL" not in servers.private_urls:
        pytest.skip("the server in SLUICE_DATABASE_URL has users of its operator's")
    connection = await asyncpg.connect(servers.urls["SLUICE_DATABASE_URL"], timeout=10)
    try:
        row = await connection.fetchrow(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls AS is_mighty,"
            " pg_has_role('sluice_services', 'USAGE') AS serves"
            " FROM pg_roles WHERE rolname = current_user"
        )
    finally:
        await connection.close(timeout=10)
    assert row is not None
    assert dict(row) == {"is_mighty": False, "serves": True}


async def test_migrating_as_services_ends_with_a_sentence(
    owner: asyncpg.Connection, services_url: str
) -> None:
    # Given a database that lacks a migration, and no other user than that of services
    await owner.execute("DELETE FROM schema_migrations WHERE number = 2")
    command = Command({"SLUICE_DATABASE_URL": services_url})
    # When it is migrated
    ended = await command("migrate")
    # Then it is told what is not allowed, in one sentence
    assert ended.code == 1
    assert ended.errors.startswith("sluice: the database does not allow it: ")
    assert ended.errors.count("\n") == 1


async def test_two_databases_of_one_server_are_migrated_at_once(servers: Servers) -> None:
    # Given two empty databases of one server, whose roles they share
    keeper = await asyncpg.connect(servers.database_url, timeout=10)
    names = [f"twin_{uuid.uuid4().hex}" for _ in range(2)]
    twins: list[asyncpg.Connection] = []
    try:
        for name in names:
            await keeper.execute(f'CREATE DATABASE "{name}"')
            url = in_database(servers.database_url, name)
            twins.append(await asyncpg.connect(url, timeout=10))
        # When both are migrated at the same time, Then both are whole
        outcomes = await asyncio.gather(*(migrate.migrate(twin) for twin in twins))
        assert [len(outcome.applied) for outcome in outcomes] == [len(schema.known())] * 2
    finally:
        for twin in twins:
            await twin.close(timeout=10)
        for name in names:
            await keeper.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await keeper.close(timeout=10)


async def test_a_user_who_may_not_create_the_role_is_told_whom_to_ask(
    servers: Servers, database_url: str
) -> None:
    # Given an owner without the right to create roles, and a migration that needs one
    user = f"owner_{uuid.uuid4().hex}"
    keeper = await asyncpg.connect(database_url, timeout=10)
    sql = next(m.sql for m in schema.known() if m.name == "0002_roles.sql")
    do = sql[sql.index("DO $$") : sql.index("END $$;") + 7].replace("sluice_services", f"{user}_s")
    try:
        await keeper.execute(f"CREATE ROLE {user} NOLOGIN")
        await keeper.execute(f"SET ROLE {user}")
        # When it is applied, Then the error says what an administrator must run
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError,
            match=rf"may not create roles: .* CREATE ROLE {user}",
        ):
            await keeper.execute(do)
        await keeper.execute("RESET ROLE")
        # When the role is there, Then nothing is asked of anybody
        await keeper.execute(f"CREATE ROLE {user}_s NOLOGIN; SET ROLE {user}")
        await keeper.execute(do)
    finally:
        await keeper.execute(f"RESET ROLE; DROP ROLE IF EXISTS {user}, {user}_s")
        await keeper.close(timeout=10)


async def test_a_user_outside_the_role_is_told_how_to_get_in(
    owner: asyncpg.Connection, database_url: str
) -> None:
    # Given a user of the operator's who is in no role of ours
    user = f"stranger_{uuid.uuid4().hex}"
    await owner.execute(f"CREATE ROLE {user} NOLOGIN")
    try:
        url = as_services(database_url).replace("sluice_services", user)
        # When a command runs as that user, Then the sentence names the grant
        ended = await Command({"SLUICE_DATABASE_URL": url})("account", "list")
        assert ended.code == 1
        assert f"GRANT sluice_services TO {user}" in ended.errors
    finally:
        await owner.execute(f"DROP ROLE {user}")
