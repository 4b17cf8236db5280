"""What PostgreSQL does when the broker has lost a queue: have everything published again (law
1)."""

from __future__ import annotations

import asyncpg
import structlog

from shared.broker import topology
from shared.db import work
from shared.db.pool import ACQUIRE_SECONDS

_log = structlog.get_logger()


async def republish_all(pool: asyncpg.Pool, queue: str) -> None:
    """A queue of work does not exist: what was in it is made ready for the relay once more."""
    carrier_name, message_class = topology.of_mt_queue(queue)
    async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
        count = await work.republish(opened, carrier_name, message_class, older_seconds=0)
    _log.warning("queue_was_missing", queue=queue, message_count=count)
