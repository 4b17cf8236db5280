"""What PostgreSQL does when the broker has lost a queue: have everything published again (law
1)."""

from __future__ import annotations

import asyncpg
import structlog

from shared.broker import topology
from shared.db import messages, work
from shared.db.pool import ACQUIRE_SECONDS

_log = structlog.get_logger()

PAGE_COUNT = 10_000
"""Rows made ready in one transaction: a million at once would outlast a statement's time."""


async def republish_all(pool: asyncpg.Pool, queue: str) -> None:
    """A queue of work does not exist: what was in it is made ready for the relay once more."""
    count = await republish(pool, queue)
    _log.warning("queue_was_missing", queue=queue, message_count=count)


async def republish(pool: asyncpg.Pool, queue: str, older_seconds: float = 0.0) -> int:
    """Make ready again what was published to a queue before that long, page after page; what an
    error leaves undone is done when it is asked for again. Returns how many rows."""
    carrier_name, message_class = topology.of_mt_queue(queue)
    total = 0
    while True:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            count = await work.republish(
                opened, carrier_name, message_class, older_seconds, PAGE_COUNT
            )
            total += count
            if count < PAGE_COUNT:
                await work.end_leases(
                    opened, carrier_name, message_class, messages.RELAY_LEASE_SECONDS
                )
                return total
