"""Three months of one account's messages, made in PostgreSQL: rows of `messages` and nothing else,
for lists, statistics and exports read nothing else. They are counted by the product's own triggers
as they are stored, and added up by its own function."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import asyncpg

CHUNK_COUNT = 250_000
PAST_DAYS = 88
COUNTRY_COUNT = 60
_STATEMENT_SECONDS = 600.0

# $1 to $2: numbers of messages; $3: the Unix time of number 0 in ms; $4: microseconds from one to
# the next. A few countries have most of the messages. One in twelve was not delivered, by a dozen
# causes; one in fifty has two segments, one in ten a reference.
_STORE = f"""
WITH fresh AS (
    SELECT n, moment.ms, hashint8(n) AS chance, abs(hashint8(n + 7)) % 1000 AS fate,
           floor({COUNTRY_COUNT} * power((abs(hashint8(n + 3)) % 10000) / 10000.0, 2))::int AS place
    FROM generate_series($1::bigint, $2::bigint - 1) n
    CROSS JOIN LATERAL (SELECT $3::bigint + n * $4::bigint / 1000 AS ms) moment
)
INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
    country, body, encoding, segment_count, class, at_least_once, segment_price_micro, currency,
    reference, status, reason, code, created_at, expires_at, updated_at)
SELECT (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
        || '8' || lpad(to_hex(n), 15, '0'))::uuid,
       1, 1, 1, 1, 'Sluice', '+336' || lpad((n % 100000000)::text, 8, '0'),
       chr(65 + place / 26) || chr(65 + place % 26),
       'Your parcel ' || n || ' is on its way and will arrive between 9:00 and 12:00.', 'gsm7',
       CASE WHEN n % 50 = 7 THEN 2 ELSE 1 END, abs(chance) % 3, false, 45300, 'EUR',
       CASE WHEN n % 10 = 0 THEN 'order-' || n END,
       CASE WHEN fate < 915 THEN 'delivered' WHEN fate < 950 THEN 'undelivered'
            WHEN fate < 975 THEN 'rejected' WHEN fate < 990 THEN 'expired' ELSE 'unknown' END,
       CASE WHEN fate < 915 THEN '' WHEN fate < 950 THEN 'the carrier could not deliver it'
            WHEN fate < 975 THEN (ARRAY['the carrier refused the recipient',
                'the carrier refused the sender', 'the carrier refused the message'])[1 + fate % 3]
            WHEN fate < 990 THEN 'the carrier could not deliver it in time'
            ELSE 'no receipt came within the deadline' END,
       CASE WHEN fate < 915 THEN '000'
            WHEN fate < 950 THEN (ARRAY['001', '005', '034'])[1 + fate % 3]
            WHEN fate < 975 THEN '0x0000000b' ELSE '' END,
       to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0) + interval '3 days',
       to_timestamp(ms / 1000.0) + interval '2 seconds'
FROM fresh"""


async def store(database: asyncpg.Connection, count: int) -> AsyncIterator[int]:
    """Store so many messages of the last three months, and add them up; yields how many there are
    after each step. Nothing else may write meanwhile."""
    microseconds = PAST_DAYS * 86_400_000_000 // max(1, count)
    began_ms = int((time.time() - PAST_DAYS * 86_400) * 1000)
    for first in range(0, count, CHUNK_COUNT):
        last = min(count, first + CHUNK_COUNT)
        await database.execute(
            _STORE, first, last, began_ms, microseconds, timeout=_STATEMENT_SECONDS
        )
        await database.execute("SELECT add_up_statistics(1000)", timeout=_STATEMENT_SECONDS)
        yield last
    for table in ("messages", "statistics"):
        await database.execute(f"VACUUM (ANALYZE) {table}", timeout=_STATEMENT_SECONDS)
