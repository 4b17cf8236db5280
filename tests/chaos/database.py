"""The database's book, and how far its messages have come; read past the product's own code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.chaos.books import Part, Stored

_PARTS = """
SELECT m.message_id::text, m.recipient, m.body <> '' AS is_stored,
       EXISTS (SELECT FROM sealed_texts t WHERE t.subject_id = m.message_id) AS is_sealed,
       s.part, s.state, s.accepted_at IS NOT NULL AS accepted,
       count(*) FILTER (WHERE t.kind = 'debit') AS debit_count,
       count(*) FILTER (WHERE t.kind = 'refund') AS refund_count
FROM accounts a JOIN messages m USING (account_id) JOIN parts s USING (message_id)
LEFT JOIN transfers t USING (message_id, part)
WHERE a.name = $1
GROUP BY m.message_id, m.recipient, is_stored, s.part, s.state, s.accepted_at"""

_DOUBTED = """
SELECT DISTINCT e.message_id::text FROM accounts a JOIN all_events e USING (account_id)
WHERE a.name = $1 AND e.status = 'in_doubt'"""

_STATUSES = """
SELECT m.status, count(*) FROM accounts a JOIN messages m USING (account_id)
WHERE a.name = $1 GROUP BY m.status"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def book(url: str, account_name: str) -> list[Stored]:
    """Every message of an account with its segments and transfers."""
    async with connected(url) as connection:
        rows = await connection.fetch(_PARTS, account_name)
        doubted = {row["message_id"] for row in await connection.fetch(_DOUBTED, account_name)}
    parts: dict[tuple[str, str, bool, bool], dict[int, Part]] = defaultdict(dict)
    for row in rows:
        key = (row["message_id"], row["recipient"], row["is_stored"], row["is_sealed"])
        parts[key][row["part"]] = Part(
            row["state"], row["accepted"], row["debit_count"], row["refund_count"]
        )
    return [
        Stored(message_id, recipient, found, message_id in doubted, is_stored, is_sealed)
        for (message_id, recipient, is_stored, is_sealed), found in parts.items()
    ]


async def statuses(url: str, account_name: str) -> dict[str, int]:
    """How many messages of an account stand where."""
    async with connected(url) as connection:
        return {
            row["status"]: row["count"] for row in await connection.fetch(_STATUSES, account_name)
        }
