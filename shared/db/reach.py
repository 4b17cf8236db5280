"""Sentences for a PostgreSQL that cannot be reached, or does not let us in."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg

from shared.db import connection
from shared.runtime import exits

NOT_LET_IN = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What waiting does not mend: PostgreSQL is there and has decided."""

FAULTS = (*NOT_LET_IN, *connection.UNREACHABLE)


def not_reached(url: str, error: BaseException) -> exits.NotDone:
    """What to tell of one of FAULTS: only host and port are named, for the URL holds a password,
    and so may an error's text."""
    place = urlsplit(url).netloc.rpartition("@")[2] or "its default place"
    if isinstance(error, NOT_LET_IN):
        why = "it does not let this user in, or has no such database"
    elif isinstance(error, asyncpg.QueryCanceledError):
        why = "a statement took too long"
    elif isinstance(error, TimeoutError):
        why = "no answer in time"
    elif isinstance(error, ConnectionRefusedError):
        why = "nothing listens there"
    else:
        why = type(error).__name__
    return exits.NotDone(exits.UNREACHABLE, f"cannot reach PostgreSQL at {place}: {why}")


def not_a_url(error: ValueError) -> exits.NotDone:
    """What to tell of a URL that asyncpg cannot read."""
    return exits.NotDone(
        exits.BAD_INPUT, f"SLUICE_DATABASE_URL is not a PostgreSQL URL: {type(error).__name__}"
    )
