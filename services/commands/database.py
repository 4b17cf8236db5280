"""A command's own connection to PostgreSQL, and sentences for when there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from msgspec import Meta

from shared.db import migrate, reach, schema
from shared.runtime import exits, settings

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
LOCK_SECONDS = 15.0


class Database(settings.Variables, frozen=True, kw_only=True):
    """What every command reads that asks the database."""

    database_url: settings.DatabaseUrl


class Migration(settings.Variables, frozen=True, kw_only=True):
    """What `sluice migrate` reads. Both URLs may name the same user, who then owns the schema."""

    database_url: settings.DatabaseUrl = ""
    migration_database_url: Annotated[
        str,
        Meta(
            description="Where PostgreSQL is, as the user who owns the schema; if not set, that of"
            " SLUICE_DATABASE_URL.",
            pattern="^postgres(ql)?://",
            examples=["postgresql://owner:password@127.0.0.1:5432/sluice"],
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse to start without any URL."""
        if not (self.database_url or self.migration_database_url):
            raise ValueError("SLUICE_DATABASE_URL is not set")

    @property
    def url(self) -> str:
        """Where and as whom to migrate."""
        return self.migration_database_url or self.database_url


@asynccontextmanager
async def connected(
    *, statement_seconds: float = STATEMENT_SECONDS, to_migrate: bool = False
) -> AsyncIterator[asyncpg.Connection]:
    """A connection while the body runs; `to_migrate` as the schema's owner and whatever the schema
    is. Raises NotDone when the server cannot be reached, also in the middle, when its schema is not
    this code's, or when it does not allow what the body tries."""
    url = settings.load(Migration).url if to_migrate else settings.load(Database).database_url
    try:
        opened = await _open(url, statement_seconds)
        try:
            if not to_migrate:
                await migrate.verify(opened)
            yield opened
        finally:
            await opened.close(timeout=CONNECT_SECONDS)
    except BrokenPipeError:
        # Not the server: whoever read our output has gone.
        raise
    except asyncpg.LockNotAvailableError:
        raise exits.NotDone(
            exits.FAILED, f"another command has been changing the same for {LOCK_SECONDS:.0f} s"
        ) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise exits.NotDone(exits.FAILED, f"the database does not allow it: {error}") from None
    except reach.FAULTS as error:
        raise reach.not_reached(url, error) from None


async def _open(url: str, statement_seconds: float) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds + 2,
            server_settings={
                "application_name": schema.application_name("command"),
                "statement_timeout": str(int(statement_seconds * 1000)),
                "lock_timeout": str(int(LOCK_SECONDS * 1000)),
            },
        )
    except ValueError as error:
        raise reach.not_a_url(error) from None
