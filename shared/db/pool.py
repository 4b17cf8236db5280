"""Connections to PostgreSQL: a limit on every statement and lock, a word on durability."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from shared.db import connection, migrate, reach, schema

_log = structlog.get_logger()

START_SECONDS = 60.0
"""How long a process that starts waits for PostgreSQL."""
ACQUIRE_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
LOCK_SECONDS = 5.0
IDLE_IN_TRANSACTION_SECONDS = 5.0
"""How long a process that stands still may keep what it has locked from the others."""


_PLANNING = {
    # Every statement of a service names its rows by key, in arrays whose length the planner cannot
    # see: it guesses long ones, or an empty table, and reads the whole of it (measured: 347 instead
    # of 15 µs a message). So: by index, one row after the other, planned once. Two lists of a
    # statement's own, which have no index, are put together by a full join: it knows no other way.
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
    "enable_hashjoin": "off",
    "random_page_cost": "1.1",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}


async def _keep(opened: asyncpg.Connection) -> None:
    """Nothing to reset when a connection comes back, for settings and locks are of transactions
    only, and the usual reset is a round trip; unless a transaction was left open."""
    if opened.is_in_transaction():
        await opened.reset()


async def open_pool(url: str, name: str, size: int) -> asyncpg.Pool:
    """A pool of at most `size` connections, after checking schema and durability.

    Waits up to START_SECONDS for the server. Raises NotDone when it does not come, does not let us
    in, or has not this code's schema.
    """
    try:
        pool = await _connected(url, name, size)
        try:
            async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await migrate.verify(opened)
                await _warn_unless_durable(opened)
        except BaseException:
            pool.terminate()
            raise
    except ValueError as error:
        raise reach.not_a_url(error) from None
    except reach.FAULTS as error:
        raise reach.not_reached(url, error) from None
    return pool


async def _connected(url: str, name: str, size: int) -> asyncpg.Pool:
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(connection.UNREACHABLE)
        # What asyncpg cannot read is both.
        & retry_if_not_exception_type(ValueError),
        wait=wait_random_exponential(multiplier=0.2, max=3),
        stop=stop_after_delay(START_SECONDS),
        before_sleep=_note_failure,
        reraise=True,
    ):
        with attempt:
            return await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                timeout=ACQUIRE_SECONDS,
                command_timeout=STATEMENT_SECONDS + 2,
                max_inactive_connection_lifetime=0,
                reset=_keep,
                server_settings={
                    "application_name": schema.application_name(name),
                    "statement_timeout": str(int(STATEMENT_SECONDS * 1000)),
                    "lock_timeout": str(int(LOCK_SECONDS * 1000)),
                    "idle_in_transaction_session_timeout": str(
                        int(IDLE_IN_TRANSACTION_SECONDS * 1000)
                    ),
                    **_PLANNING,
                },
            )
    raise AssertionError("tenacity raises the last error")


def _note_failure(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info("waiting_for_postgresql", error=type(error).__name__)


async def _warn_unless_durable(opened: connection.Connection) -> None:
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = await opened.fetchval(f"SHOW {name}")
        if value == "off":
            _log.warning("database_not_durable", setting=name, value=value)


async def close_pool(pool: asyncpg.Pool, deadline_seconds: float = 5.0) -> None:
    """Close politely, or hard once the deadline has passed."""
    try:
        await asyncio.wait_for(pool.close(), deadline_seconds)
    except (TimeoutError, *connection.UNREACHABLE):
        pool.terminate()
