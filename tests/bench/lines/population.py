"""Messages as they stand once they are parked: made in PostgreSQL, so that every book agrees."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

_CHUNK_COUNT = 20_000
_STATEMENT_SECONDS = 600.0

# $1: lines; $2: messages of each; $3: a number above all that were used for ids before.
_PARK = """
WITH fresh AS MATERIALIZED (
    SELECT n, l.line_id, l.sender, l.account_id, w.wallet_id, r.wallet_id AS revenue_wallet_id,
           w.currency, (SELECT min(carrier_id) FROM carriers) AS carrier_id,
           prices.amount_micro AS price_micro, now() AS created_at,
           (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid
               AS message_id,
           '+3361' || lpad((n / 90000 % 100)::text, 2, '0') || (10000 + n % 90000) AS recipient
    FROM unnest($1::int[]) WITH ORDINALITY AS chosen (line_id, place)
    JOIN lines l USING (line_id)
    JOIN accounts a USING (account_id)
    JOIN wallets w ON w.account_id = a.account_id AND w.currency = a.currency
    JOIN wallets r ON r.book = 'revenue' AND r.currency = a.currency
    JOIN prices ON prices.country = 'FR' AND prices.currency = a.currency
    CROSS JOIN LATERAL generate_series($3 + (place - 1) * $2, $3 + place * $2 - 1) AS n
), message AS (
    INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
        country, body, encoding, segment_count, class, at_least_once, segment_price_micro, currency,
        status, created_at, expires_at, updated_at)
    SELECT message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient, 'FR',
           'Your table no. ' || n || ' is ready.', 'gsm7', 1, 1, false, price_micro, currency,
           'parked', created_at, created_at + interval '3 days', created_at
    FROM fresh
), segment AS (
    INSERT INTO segments (message_id, part, state, carrier_id, reason)
    SELECT message_id, 1, 'parked', carrier_id, 'its line has no tokens left' FROM fresh
), transfer AS (
    INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id,
        part, created_at)
    SELECT wallet_id, revenue_wallet_id, price_micro, 'debit', 'accepted', message_id, 1, created_at
    FROM fresh
), work AS (
    INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count,
        state, ready_at, expires_at)
    SELECT message_id, account_id, line_id, carrier_id, 'FR', 1, 1, 'parked', created_at,
           created_at + interval '3 days'
    FROM fresh
), line AS (
    INSERT INTO parked_lines (line_id, ready_at)
    SELECT DISTINCT line_id, now() + interval '1 day' FROM fresh ON CONFLICT DO NOTHING
), event_page AS (
    INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs,
        created_at)
    SELECT f.account_id, coalesce(max(h.last_sequence), 0) + count(*),
           array_agg(f.message_id ORDER BY n), array_agg('parked'::text),
           array_agg('its line has no tokens left'::text), array_agg(NULL::text), max(f.created_at)
    FROM fresh f LEFT JOIN event_heads h USING (account_id) GROUP BY f.account_id
), head AS (
    INSERT INTO event_heads AS h (account_id, last_sequence)
    SELECT account_id, count(*) FROM fresh GROUP BY account_id
    ON CONFLICT (account_id) DO UPDATE SET last_sequence = h.last_sequence + excluded.last_sequence
)
UPDATE wallets w SET balance_micro = w.balance_micro - spent.amount_micro
FROM (SELECT wallet_id, sum(price_micro)::bigint AS amount_micro
      FROM fresh GROUP BY wallet_id) spent
WHERE w.wallet_id = spent.wallet_id"""

_NEXT_NUMBER = "SELECT count(*) FROM messages"


async def park(database: asyncpg.Connection, line_ids: Sequence[int], each_count: int) -> None:
    """Park so many messages on each of these lines, until further notice."""
    lines_each = max(1, _CHUNK_COUNT // each_count)
    number = await database.fetchval(_NEXT_NUMBER)
    for start in range(0, len(line_ids), lines_each):
        chosen = line_ids[start : start + lines_each]
        for done in range(0, each_count, _CHUNK_COUNT):
            count = min(each_count - done, _CHUNK_COUNT)
            await database.execute(_PARK, chosen, count, number, timeout=_STATEMENT_SECONDS)
            number += count * len(chosen)
    await settle(database)


_TABLES = ("work", "parked_lines", "messages", "segments", "transfers", "event_heads")


async def settle(database: asyncpg.Connection) -> None:
    """Vacuum and count now what autovacuum would sooner or later: so that it does not later."""
    for table in _TABLES:
        await database.execute(f"VACUUM (ANALYZE) {table}", timeout=_STATEMENT_SECONDS)


async def set_aside(database: asyncpg.Connection, line_id: int) -> None:
    """Let a line have no queue, for as long as it is not brought back: nothing of it is in any
    table that is looked at to park, to let go and to send."""
    async with database.transaction():
        await database.execute("SELECT FROM parked_lines WHERE line_id = $1 FOR UPDATE", line_id)
        await database.execute("CREATE TABLE set_aside (LIKE work)")
        await database.execute(
            "WITH gone AS (DELETE FROM work WHERE line_id = $1 AND state = 'parked' RETURNING *) "
            "INSERT INTO set_aside SELECT * FROM gone",
            line_id,
            timeout=_STATEMENT_SECONDS,
        )
        await database.execute("DELETE FROM parked_lines WHERE line_id = $1", line_id)


async def bring_back(database: asyncpg.Connection, line_id: int) -> None:
    """The line has its queue again, and is looked at from now on."""
    async with database.transaction():
        await database.execute(
            "INSERT INTO parked_lines (line_id, ready_at) VALUES ($1, now()) "
            "ON CONFLICT (line_id) DO UPDATE SET ready_at = now()",
            line_id,
        )
        await database.execute(
            "INSERT INTO work SELECT * FROM set_aside", timeout=_STATEMENT_SECONDS
        )
        await database.execute("DROP TABLE set_aside")


_FILL = """
INSERT INTO limit_usage (scope, minute, worker_id, segment_count)
SELECT 'line:' || $1::int, floor(extract(epoch FROM now()) / 60)::bigint - n, gen_random_uuid(), $2
FROM generate_series(0, 61) AS n"""
_LIMIT = "UPDATE lines SET hour_limit = $2 WHERE line_id = $1"
_TELL = "UPDATE configuration_version SET version = version + 1"


async def limit(database: asyncpg.Connection, line_id: int, per_minute: int) -> None:
    """Give a line a limit by the hour. Every line that waits is looked at after that."""
    async with database.transaction():
        await database.execute(_LIMIT, line_id, 60 * per_minute)
        await database.execute(_TELL)


async def trickle(database: asyncpg.Connection, line_id: int, per_minute: int) -> None:
    """Let a line have used its hour evenly, so that a few tokens return each minute, and be looked
    at from now on."""
    async with database.transaction():
        await database.execute(_FILL, line_id, per_minute)
        await database.execute(
            "UPDATE parked_lines SET ready_at = now() WHERE line_id = $1", line_id
        )


_DUE = """
CREATE TEMP TABLE due AS
SELECT line_id, now() + interval '3 seconds' + place * $1 * interval '1 second' AS ready_at
FROM (SELECT line_id, row_number() OVER (ORDER BY md5(line_id::text)) - 1 AS place
      FROM parked_lines) lines WHERE place < $2"""
_LATE = """
SELECT percentile_cont($1::float8[]) WITHIN GROUP (ORDER BY
           extract(epoch FROM s.submitted_at - d.ready_at)::float8)
FROM due d JOIN messages m USING (line_id) JOIN segments s USING (message_id)
WHERE s.submitted_at IS NOT NULL AND m.created_at < d.ready_at"""


async def make_due(database: asyncpg.Connection, count: int, per_second: float) -> None:
    """Let so many parked lines have tokens again, so many a second, one after the other."""
    # Of a utility statement no values are taken.
    text = _DUE.replace("$1", repr(1 / per_second)).replace("$2", str(count))
    await database.execute(text)
    await database.execute(
        "UPDATE parked_lines p SET ready_at = d.ready_at FROM due d WHERE p.line_id = d.line_id"
    )


async def still_parked(database: asyncpg.Connection) -> int:
    """Messages on lines that were made due which have not left."""
    return int(
        await database.fetchval(
            "SELECT count(*) FROM work JOIN due USING (line_id) WHERE state <> 'scheduled'"
        )
    )


async def lateness_seconds(database: asyncpg.Connection) -> tuple[float, float]:
    """(p50, p99) from a line's time to its messages' submits."""
    p50, p99 = await database.fetchval(_LATE, [0.5, 0.99])
    return p50, p99
