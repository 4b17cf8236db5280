"""What a connection to PostgreSQL is here, and which of its errors mean "try again"."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import asyncpg

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""What the functions of this room take first."""

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection whose server died between two statements.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # Too many connections, no memory, a full disk.
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresIOError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What a lost, stopped or overloaded PostgreSQL raises: try again later, nothing is decided."""

TRANSIENT = (
    *UNREACHABLE,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
"""All that a retry of the whole transaction may cure."""


class Transaction(NamedTuple):
    """What to ask about, should the answer to its commit be lost. The id alone would not do: after
    a crash PostgreSQL gives ids that left no trace on its disk to others."""

    transaction_id: str
    began_at: datetime


# An id above all that have ended is of a transaction that runs, or of one that a crash swallowed:
# then others will soon have passed it, or bear it.
_STATUS = """
SELECT CASE WHEN $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())
            THEN pg_xact_status($1::text::xid8) ELSE 'in progress' END"""


async def committed(connection: Connection, transaction: Transaction) -> bool | None:
    """Whether the transaction of this id took effect; None while that cannot be said. Whoever finds
    something of it must compare its time as well."""
    status = await connection.fetchval(_STATUS, transaction.transaction_id)
    return None if status == "in progress" else status == "committed"
