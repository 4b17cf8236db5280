"""Apply the numbered migrations, once each and in order, however many processes try at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random

from shared.db import schema
from shared.db.connection import Connection
from shared.db.schema import Applied, Migration

_TURN_KEY = 0x51C1CE00

# A statement that waits for a table's lock makes everybody behind it wait too: better to give way.
_LOCK_MS = 1_000
_PATIENCE_SECONDS = 60.0

_CREATE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number      integer PRIMARY KEY,
    name        text NOT NULL,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    serves_from integer NOT NULL DEFAULT 0
)"""
_WIDEN = "ALTER TABLE schema_migrations ADD COLUMN serves_from integer NOT NULL DEFAULT 0"
_IS_WIDE = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'serves_from'
               AND attrelid = 'schema_migrations'::regclass)"""


class Outcome(NamedTuple):
    """What `migrate` did: names of files applied now, and for each contract that waits the older
    processes it waits for, as they call themselves."""

    applied: list[str]
    waiting: dict[str, list[str]]


async def migrate(connection: Connection, migrations: Sequence[Migration] | None = None) -> Outcome:
    """Apply what is missing, contracts only when no older process is connected to the database.

    Expands do not build on contracts, so they do not wait for them. Raises SchemaMismatch when this
    code cannot live on what the database has seen.
    """
    wanted = schema.known() if migrations is None else migrations
    outcome = Outcome([], {})
    if await _is_done(connection, wanted):
        return outcome
    await connection.execute("SELECT pg_advisory_lock($1)", _TURN_KEY)
    try:
        await connection.execute(_CREATE)
        if not await connection.fetchval(_IS_WIDE):
            await connection.execute(_WIDEN)
        applied = await _applied(connection)
        schema.refuse_strangers(wanted, applied)
        for migration in wanted:
            if migration.number not in applied:
                older = await _apply(connection, migration)
                if older:
                    outcome.waiting[migration.name] = older
                else:
                    outcome.applied.append(migration.name)
        return outcome
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _TURN_KEY)


async def _is_done(connection: Connection, wanted: Iterable[Migration]) -> bool:
    """Whether nothing is to be done, so that nobody needs the right to do it."""
    try:
        applied = await _applied(connection)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        return False
    schema.refuse_strangers(wanted, applied)
    return all(migration.number in applied for migration in wanted)


async def _applied(connection: Connection) -> dict[int, Applied]:
    rows = await connection.fetch(
        "SELECT number, name, sha256, serves_from FROM schema_migrations ORDER BY number"
    )
    return {row["number"]: Applied(*row) for row in rows}


async def _apply(connection: Connection, migration: Migration) -> list[str]:
    """Apply one file; or name the processes that it must wait for, and change nothing."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(
            (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
        ),
        wait=wait_random(0.05, 0.5),
        stop=stop_after_delay(_PATIENCE_SECONDS),
        reraise=True,
    ):
        with attempt:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_MS}")
                if migration.serves_from:
                    older = await _older_than(connection, migration.serves_from)
                    if older:
                        return older
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name, sha256, serves_from) "
                    "VALUES ($1, $2, $3, $4)",
                    migration.number,
                    migration.name,
                    migration.sha256,
                    migration.serves_from,
                )
    return []


_CONNECTED = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'sluice-%'
ORDER BY application_name"""


async def _older_than(connection: Connection, number: int) -> list[str]:
    """Processes of older code. One that connects after this look finds `schema_migrations` locked
    until the contract is there, and then refuses to start."""
    await connection.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
    rows = await connection.fetch(_CONNECTED)
    names: Iterable[str] = (row["application_name"] for row in rows)
    return [name for name in names if schema.code_number(name) < number]


async def verify(connection: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Raise SchemaMismatch unless code that knows these migrations can live on this database: it
    has every expand, unchanged, and no contract that serves newer code only."""
    wanted = schema.known() if migrations is None else migrations
    applied: dict[int, Applied] = {}
    try:
        applied = await _applied(connection)
    except asyncpg.UndefinedTableError:
        pass
    except asyncpg.UndefinedColumnError:
        raise schema.SchemaMismatch(
            "the database is of the first release: run `sluice migrate` of this version"
        ) from None
    except asyncpg.InsufficientPrivilegeError:
        user = await connection.fetchval("SELECT current_user")
        raise schema.SchemaMismatch(
            f"the database user {user} may not read the schema: GRANT sluice_services TO {user}"
        ) from None
    schema.refuse_strangers(wanted, applied)
    schema.refuse_gaps(wanted, applied)
