"""References for messages of several parts: counted per phone, so that no two can be mixed up.

Two messages to one phone share a reference only if 65,535 others to it came between, or if the
first had expired a day before the second was accepted: a phone's count begins anew only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection

# Phones are locked in their order, so that two transactions never wait in a circle.
_NUMBER = """
WITH long AS (
    SELECT message_id, recipient, expires_at,
           row_number() OVER (PARTITION BY recipient ORDER BY message_id DESC) - 1 AS before_last
    FROM messages WHERE message_id = ANY ($1::uuid[])
), taken AS (
    INSERT INTO concatenations AS c (recipient, last_reference, free_at)
    SELECT recipient, count(*) & 65535, max(expires_at) + interval '1 day'
    FROM long GROUP BY recipient ORDER BY recipient
    ON CONFLICT (recipient) DO UPDATE
    SET last_reference = (c.last_reference + excluded.last_reference) & 65535,
        free_at = greatest(c.free_at, excluded.free_at)
    RETURNING recipient, last_reference
)
UPDATE messages m SET concat_reference = (t.last_reference - t.before_last) & 65535
FROM (SELECT * FROM long FULL JOIN taken USING (recipient)) t WHERE m.message_id = t.message_id"""


async def number(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Give each of these messages, of several parts and just inserted, the next reference of its
    phone. Until the transaction ends nobody else gets one for these phones."""
    if message_ids:
        await connection.execute(_NUMBER, message_ids)


_FORGET = """
DELETE FROM concatenations WHERE recipient = ANY (ARRAY(
    SELECT recipient FROM concatenations
    WHERE free_at < now() ORDER BY free_at LIMIT $1 FOR UPDATE SKIP LOCKED))"""


async def sweep(database: asyncpg.Pool) -> None:
    """Drop the counts of phones that have had no long message for so long that it does not matter
    which reference comes next."""
    await cleaning.by_pages(database, _FORGET)
