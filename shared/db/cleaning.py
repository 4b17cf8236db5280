"""Small rows whose time is over, and all that is older than the platform's retention: taken away in
pages, each a transaction of its own, so that nobody waits for it for long."""

from __future__ import annotations

import asyncio
import time
import uuid

import asyncpg

from shared.db import pool

PAGE_COUNT = 1_000
PAUSE_FACTOR = 3.0
"""A page of what the retention has passed is followed by a pause so many times as long, so that a
database in which much is too old is not held up by it."""


async def by_pages(
    database: asyncpg.Pool, statement: str, *values: object, page_count: int = PAGE_COUNT
) -> None:
    """Execute a DELETE whose last argument is how many rows it may take, until it finds fewer.
    Several may do it at once."""
    while True:
        async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            done = await opened.execute(statement, *values, page_count)
        if int(done.rpartition(" ")[2]) < page_count:
            return


async def by_calls(database: asyncpg.Pool, statement: str, page_count: int) -> None:
    """Call a function that works off up to so many pages and tells how many they were, until it
    finds fewer. Of several callers one does it."""
    done_count = page_count
    while done_count >= page_count:
        async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            done_count = await opened.fetchval(statement, page_count)


_FORGET_OLD = """
SELECT o.row_count, o.end_id, forget_old_inbound($1), forget_old_trail($1)
FROM forget_old($1, $2) o"""


async def forget_old(database: asyncpg.Pool, page_count: int = PAGE_COUNT) -> int:
    """Take away every message with its segments and trail, receipt, event, inbound message and
    ended token that is older than the retention; transfers stay. Returns how many rows of messages,
    receipts, events, inbound messages, trails and tokens. Of several callers one does it; others
    return at once."""
    total_count, reached = 0, uuid.UUID(int=0)
    while True:
        began_at = time.monotonic()
        async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            ((row_count, reached, *counts),) = await opened.fetch(_FORGET_OLD, page_count, reached)
        gone_count = row_count + sum(counts)
        if not gone_count:
            return total_count
        total_count += gone_count
        await asyncio.sleep((time.monotonic() - began_at) * PAUSE_FACTOR)
