"""What PostgreSQL does when the broker has lost a queue: have everything published again (law
1)."""

from __future__ import annotations

import asyncpg

from shared.db import messages, published
from shared.db.pool import ACQUIRE_SECONDS

PAGE_COUNT = 10_000
"""Rows made ready in one transaction: a million at once would outlast a statement's time."""


async def republish(
    pool: asyncpg.Pool, carrier_name: str, message_class: int, older_seconds: float = 0.0
) -> int:
    """Make ready again what was published for a carrier and class before that long, page after
    page; what an error leaves undone is done when it is asked for again. Returns how many rows."""
    total = 0
    while True:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            count = await published.republish(
                opened, carrier_name, message_class, older_seconds, PAGE_COUNT
            )
            total += count
            if count < PAGE_COUNT:
                await published.end_leases(
                    opened, carrier_name, message_class, messages.RELAY_LEASE_SECONDS
                )
                return total
