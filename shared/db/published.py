"""What the broker has of what waits to be submitted: marked when nobody claims it, and published
again when it is lost there."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared.db import messages, work
from shared.db.connection import Connection
from shared.db.pool import ACQUIRE_SECONDS

PAGE_COUNT = 10_000
"""Rows made ready in one transaction: a million at once would outlast a statement's time."""

_LEASED = f"""
SELECT w.message_id FROM {work.EVERY_LANE}, LATERAL (
    SELECT message_id FROM work
    WHERE state = 'ready' AND carrier_id = c.carrier_id AND class = k.class
      AND ready_at > now() + $1 * interval '1 second'
      AND ready_at <= now() + $2 * interval '1 second'
    ORDER BY ready_at
) w"""  # noqa: S608 - the constant above


async def leased(connection: Connection, left_seconds: float, left_seconds_max: float) -> set[UUID]:
    """Rows that somebody has the right to publish for longer than `left_seconds`, and for
    `left_seconds_max` at most: nobody has claimed them."""
    rows = await connection.fetch(_LEASED, left_seconds, left_seconds_max)
    return {row["message_id"] for row in rows}


# Marking comes a moment after the confirm. A row that is ready again by then (put back by a
# dispatcher, released by its line) is not the one that was published: its time is nearer than a
# lease's.
_MARK = """
UPDATE work SET state = 'published', ready_at = now()
WHERE message_id = ANY ($1::uuid[]) AND state = 'ready'
  AND ready_at > now() + $2 * interval '1 second'"""


async def mark(
    connection: Connection, message_ids: Sequence[UUID], lease_left_seconds: float
) -> None:
    """The broker has confirmed these; those already claimed are gone, and that is as well. Only
    rows whose lease lasts longer than `lease_left_seconds` are meant."""
    await connection.execute(_MARK, message_ids, lease_left_seconds)


_AGES = f"""
SELECT c.name, k.class, extract(epoch FROM now() - oldest.ready_at)::float8 AS age_seconds
FROM {work.EVERY_LANE}, LATERAL (
    SELECT ready_at FROM work w
    WHERE w.state = 'published' AND w.carrier_id = c.carrier_id AND w.class = k.class
    ORDER BY ready_at LIMIT 1
) oldest"""  # noqa: S608 - the constant above


async def ages(connection: Connection) -> list[tuple[str, int, float]]:
    """(carrier's name, class, seconds): for how long the oldest row of a queue is published."""
    rows = await connection.fetch(_AGES)
    return [(row["name"], row["class"], row["age_seconds"]) for row in rows]


# Its old time makes it come first again, and tells whoever still wants to mark it that it is ready
# once more: so does ending the leases of what the broker may have confirmed a moment ago.
_REPUBLISH = """
UPDATE work w SET state = 'ready'
FROM carriers c, LATERAL (
    SELECT max(ready_at) AS ready_at FROM (
        SELECT ready_at FROM work
        WHERE carrier_id = c.carrier_id AND class = $2 AND state = 'published'
          AND ready_at < now() - $3 * interval '1 second'
        ORDER BY ready_at LIMIT $4
    ) oldest
) last
WHERE c.name = $1 AND w.carrier_id = c.carrier_id AND w.class = $2 AND w.state = 'published'
  AND w.ready_at <= last.ready_at"""

_END_LEASES = """
UPDATE work w SET ready_at = now() FROM carriers c
WHERE c.carrier_id = w.carrier_id AND c.name = $1 AND w.class = $2 AND w.state = 'ready'
  AND w.ready_at > now() AND w.ready_at <= now() + $3 * interval '1 second'"""


async def republish_page(
    connection: Connection, carrier_name: str, message_class: int, older_seconds: float, limit: int
) -> int:
    """Have the oldest `limit` rows, and those just as old, that were published before that long
    published again. A duplicate does no harm, for only one claim finds the row. Returns how
    many."""
    done = await connection.execute(_REPUBLISH, carrier_name, message_class, older_seconds, limit)
    return int(done.rpartition(" ")[2])


async def republish(
    pool: asyncpg.Pool, carrier_name: str, message_class: int, older_seconds: float = 0.0
) -> int:
    """The broker has lost a queue (law 1): have all published again that was before that long, page
    after page, and what may just have been and is not marked so yet. What an error leaves undone is
    done when it is asked for again. Returns how many rows were published."""
    lane = carrier_name, message_class
    total = 0
    while True:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            count = await republish_page(opened, *lane, older_seconds, PAGE_COUNT)
            total += count
            if count < PAGE_COUNT:
                await opened.execute(_END_LEASES, *lane, messages.RELAY_LEASE_SECONDS)
                return total
