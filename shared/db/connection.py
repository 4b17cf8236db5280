"""What a connection to PostgreSQL is here, and which of its errors mean "try again"."""

from __future__ import annotations

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
    asyncpg.TooManyConnectionsError,
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


async def committed(connection: Connection, transaction_id: str) -> bool | None:
    """Whether a transaction took effect; None while PostgreSQL is still at it."""
    status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", transaction_id)
    return None if status == "in progress" else status == "committed"
