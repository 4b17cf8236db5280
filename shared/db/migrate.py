"""Apply the numbered migrations, once each and in order, however many processes try at once."""

from __future__ import annotations

import hashlib
from importlib import resources

import asyncpg

from shared.db.connection import Connection

_LOCK_KEY = 0x51C1CE00

_CREATE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


class SchemaMismatch(Exception):
    """The database's schema is not the one this code was written for."""


def _migrations() -> list[tuple[int, str, str]]:
    """(number, name, sql) of every migration this code knows, in order."""
    folder = resources.files("shared.db") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name, (folder / name).read_text("utf-8")) for name in names]


def _digest(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()


async def migrate(connection: Connection) -> list[str]:
    """Apply what is missing and return its names; SchemaMismatch if an applied file changed."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
    try:
        await connection.execute(_CREATE)
        applied = {
            row["number"]: row["sha256"]
            for row in await connection.fetch("SELECT number, sha256 FROM schema_migrations")
        }
        return [
            name
            for number, name, sql in _migrations()
            if await _apply(connection, number, name, sql, applied.get(number))
        ]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)


async def _apply(
    connection: Connection, number: int, name: str, sql: str, known_sha256: str | None
) -> bool:
    if known_sha256 is not None:
        if known_sha256 != _digest(sql):
            raise SchemaMismatch(f"{name} was changed after it had been applied")
        return False
    async with connection.transaction():
        await connection.execute(sql)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
            number,
            name,
            _digest(sql),
        )
    return True


async def verify(connection: Connection) -> None:
    """Raise SchemaMismatch unless the database has exactly the migrations this code knows."""
    known = {number: _digest(sql) for number, _, sql in _migrations()}
    try:
        rows = await connection.fetch("SELECT number, sha256 FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        raise SchemaMismatch("the database is empty: run `sluice migrate`") from None
    applied = {row["number"]: row["sha256"] for row in rows}
    if applied != known:
        raise SchemaMismatch(
            f"the database has migrations {sorted(applied)}, this code needs {sorted(known)}: "
            "run `sluice migrate` with the newest version"
        )
