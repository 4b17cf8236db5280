"""A command's own connection to PostgreSQL, and sentences for when there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from services.commands import exits
from shared.db import connection, migrate, schema
from shared.runtime import settings

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
LOCK_SECONDS = 15.0

_NOT_LET_IN = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


class Database(settings.Variables, frozen=True, kw_only=True):
    """What every command reads that asks the database."""

    database_url: settings.DatabaseUrl


@asynccontextmanager
async def connected(
    *, statement_seconds: float = STATEMENT_SECONDS, check_schema: bool = True
) -> AsyncIterator[asyncpg.Connection]:
    """A connection while the body runs. Raises Refusal when the server cannot be reached, also in
    the middle, or when its schema is not this code's."""
    url = settings.load(Database).database_url
    try:
        opened = await _open(url, statement_seconds)
        try:
            if check_schema:
                await migrate.verify(opened)
            yield opened
        finally:
            await opened.close(timeout=CONNECT_SECONDS)
    except BrokenPipeError:
        # Not the server: whoever read our output has gone.
        raise
    except schema.SchemaMismatch as error:
        raise exits.Refusal(exits.FAILED, str(error)) from None
    except asyncpg.LockNotAvailableError:
        raise exits.Refusal(
            exits.FAILED, f"another command has been changing the same for {LOCK_SECONDS:.0f} s"
        ) from None
    except (*_NOT_LET_IN, *connection.UNREACHABLE) as error:
        raise exits.Refusal(exits.UNREACHABLE, _sentence(url, error)) from None


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
        raise exits.Refusal(
            exits.BAD_INPUT, f"SLUICE_DATABASE_URL is not a PostgreSQL URL: {type(error).__name__}"
        ) from None


def _sentence(url: str, error: BaseException) -> str:
    # Only host and port: the URL holds a password, and so may an error's text.
    place = urlsplit(url).netloc.rpartition("@")[2] or "its default place"
    if isinstance(error, _NOT_LET_IN):
        why = "it does not let this user in, or has no such database"
    elif isinstance(error, asyncpg.QueryCanceledError):
        why = "a statement took too long"
    elif isinstance(error, TimeoutError):
        why = "no answer in time"
    elif isinstance(error, ConnectionRefusedError):
        why = "nothing listens there"
    else:
        why = type(error).__name__
    return f"cannot reach PostgreSQL at {place}: {why}"
