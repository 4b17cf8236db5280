"""Messages as they would be stored had they been sent: made in PostgreSQL, a chunk at a time, so
that every book agrees and `sluice audit` holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import asyncpg

CHUNK_COUNT = 50_000
_PAGE_COUNT = 50
"""Receipts of one transaction, where messages come fast."""
_PAST_DAYS = 20
_STATEMENT_SECONDS = 600.0
_PAGE_EVENT_COUNT = 20
_TABLES = ("messages", "segments", "transfers", "event_pages", "receipt_pages", "work")

# Who sends, in turn: account by account, and each account's lines one after the other.
_PAYERS = """
CREATE TEMP TABLE payers AS
SELECT row_number() OVER (ORDER BY a.account_id) - 1 AS place, a.account_id, w.wallet_id,
       r.wallet_id AS revenue_wallet_id, w.currency, coalesce(h.last_sequence, 0) AS last_sequence
FROM accounts a
JOIN wallets w ON w.account_id = a.account_id AND w.currency = a.currency
JOIN wallets r ON r.book = 'revenue' AND r.currency = a.currency
LEFT JOIN event_heads h ON h.account_id = a.account_id"""
_SENDERS = """
CREATE TEMP TABLE senders AS
SELECT p.place, row_number() OVER (PARTITION BY p.place ORDER BY l.line_id) - 1 AS turn,
       l.line_id, l.sender
FROM payers p JOIN lines l USING (account_id)"""
_FORGET = "DROP TABLE IF EXISTS payers, senders"

# $1 to $2: numbers of messages; $3: the Unix time of number 0 in ms; $4: microseconds from one to
# the next. The last five digits of a recipient are 10000 or more: smaller ones may be magic to the
# simulator. One in fifty was not delivered, one in ten has a reference.
_FRESH = """
fresh AS MATERIALIZED (
    SELECT n, p.account_id, p.wallet_id, p.revenue_wallet_id, p.currency, s.line_id, s.sender,
           (SELECT min(carrier_id) FROM carriers) AS carrier_id,
           prices.amount_micro AS price_micro,
           (lpad(to_hex(moment.ms), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
            || '8' || lpad(to_hex(n), 15, '0'))::uuid AS message_id,
           to_timestamp(moment.ms / 1000.0) AS created_at,
           '+336' || lpad((n / 90000 % 1000)::text, 3, '0') || (10000 + n % 90000) AS recipient,
           CASE WHEN n % 50 = 49 THEN 'undelivered' ELSE 'delivered' END AS ended,
           CASE WHEN n % 10 = 0 THEN 'order-' || n END AS reference,
           'grown' || lpad(to_hex(n), 11, '0') AS carrier_message_id,
           p.last_sequence + 2 * (n / payer_count) AS sequence
    FROM generate_series($1::bigint, $2::bigint - 1) n
    CROSS JOIN (SELECT count(*) AS payer_count FROM payers) payer_counted
    CROSS JOIN LATERAL (SELECT $3::bigint + n * $4::bigint / 1000 AS ms) moment
    JOIN payers p ON p.place = n % payer_count
    JOIN (SELECT place, count(*) AS turn_count FROM senders GROUP BY place) t ON t.place = p.place
    JOIN senders s ON s.place = p.place AND s.turn = n / payer_count % t.turn_count
    JOIN prices ON prices.country = 'FR' AND prices.currency = p.currency
)"""

_MESSAGE = """
    INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
        country, body, encoding, segment_count, class, at_least_once, segment_price_micro, currency,
        reference, status, created_at, expires_at, updated_at)
    SELECT message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient, 'FR',
           'Your parcel ' || n || ' is on its way and will arrive between 9:00 and 12:00.', 'gsm7',
           1, 1, false, price_micro, currency, reference, {status}, created_at,
           created_at + interval '3 days', created_at + interval '2 seconds'
    FROM fresh"""
_TRANSFER = """
    INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id,
        part, created_at)
    SELECT wallet_id, revenue_wallet_id, price_micro, 'debit', 'accept', message_id, 1, created_at
    FROM fresh"""
_WALLET = """
UPDATE wallets w SET balance_micro = w.balance_micro - spent.amount_micro
FROM (SELECT wallet_id, sum(price_micro)::bigint AS amount_micro
      FROM fresh GROUP BY wallet_id) spent
WHERE w.wallet_id = spent.wallet_id"""

_SENT = f"""
WITH {_FRESH}, message AS ({_MESSAGE.format(status="ended")}
), segment AS (
    INSERT INTO segments (message_id, part, state, attempt_count, carrier_id, submitted_at,
        accepted_at, finished_at, carrier_message_id)
    SELECT message_id, 1, ended, 1, carrier_id, created_at + interval '100 ms',
           created_at + interval '150 ms', created_at + interval '2 seconds', carrier_message_id
    FROM fresh
), transfer AS ({_TRANSFER}
), event_page AS (
    INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs,
        created_at)
    SELECT account_id, max(sequence) + 2, array_agg(message_id ORDER BY sequence, step),
           array_agg(CASE step WHEN 1 THEN 'submitted' ELSE ended END ORDER BY sequence, step),
           array_agg(''::text), array_agg(reference ORDER BY sequence, step),
           max(created_at) + interval '2 seconds'
    FROM fresh, generate_series(1, 2) AS step GROUP BY account_id, sequence / {_PAGE_EVENT_COUNT}
), receipt_page AS (
    INSERT INTO receipt_pages (last_message_id, first_message_id, carrier_id, message_ids, parts,
        states, received_at, raws)
    SELECT (array_agg(message_id ORDER BY n DESC))[1], (array_agg(message_id ORDER BY n))[1],
           carrier_id, array_agg(message_id ORDER BY n), array_agg(1::smallint),
           array_agg(ended ORDER BY n), array_agg(created_at + interval '2 seconds' ORDER BY n),
           array_agg(convert_to(
               'id:' || carrier_message_id || ' sub:001 dlvrd:001 submit date:2611250000 '
               || 'done date:2611250000 stat:DELIVRD err:000 text:Your parcel', 'UTF8') ORDER BY n)
    FROM fresh GROUP BY carrier_id, "left"(message_id::text, 8), n / {_PAGE_COUNT}
), head AS (
    INSERT INTO event_heads AS h (account_id, last_sequence)
    SELECT account_id, max(sequence) + 2 FROM fresh GROUP BY account_id
    ON CONFLICT (account_id) DO UPDATE
    SET last_sequence = greatest(h.last_sequence, excluded.last_sequence)
){_WALLET}"""

_WAITING = f"""
WITH {_FRESH}, message AS ({_MESSAGE.format(status="'queued'")}
), transfer AS ({_TRANSFER}
), work AS (
    INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count,
        state, ready_at, expires_at)
    SELECT message_id, account_id, line_id, carrier_id, 'FR', 1, 1, 'ready', now(),
           created_at + interval '3 days'
    FROM fresh
){_WALLET}"""


async def send(database: asyncpg.Connection, count: int) -> AsyncIterator[int]:
    """Store so many messages that ended within the last weeks, and vacuum as if they had come in
    all that time; yields how many there are after each step. Nothing else may write meanwhile."""
    microseconds = _PAST_DAYS * 86_400_000_000 // max(1, count)
    began_ms = int((time.time() - (_PAST_DAYS + 1) * 86_400) * 1000)
    async for done in _fill(database, _SENT, count, began_ms, microseconds):
        yield done
    for table in _TABLES:
        await database.execute(f"VACUUM (ANALYZE) {table}", timeout=_STATEMENT_SECONDS)
    await database.execute("CHECKPOINT", timeout=_STATEMENT_SECONDS)


async def queue(database: asyncpg.Connection, count: int) -> None:
    """Store so many messages that are ready to be published, all of them at one moment."""
    async with database.transaction():
        async for _ in _fill(database, _WAITING, count, int(time.time() * 1000), 0):
            pass


async def _fill(
    database: asyncpg.Connection, statement: str, count: int, began_ms: int, microseconds: int
) -> AsyncIterator[int]:
    await database.execute(_FORGET)
    await database.execute(_PAYERS)
    await database.execute(_SENDERS)
    await database.execute("ANALYZE payers, senders")
    for start in range(0, count, CHUNK_COUNT):
        end = min(count, start + CHUNK_COUNT)
        await database.execute(
            statement, start, end, began_ms, microseconds, timeout=_STATEMENT_SECONDS
        )
        yield end
