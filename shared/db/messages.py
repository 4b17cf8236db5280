"""Messages as producers asked for them: stored with their segments, debits and work in one
statement; read back for producers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection


class NewMessage(NamedTuple):
    """A message that passed every check and can be paid for; a row of the type `new_message`."""

    message_id: UUID
    account_id: int
    line_id: int
    carrier_id: int
    wallet_id: int
    revenue_wallet_id: int
    sender: str
    recipient: str
    country: str
    body: str
    encoding: str
    segment_count: int
    message_class: int
    at_least_once: bool
    segment_price_micro: int
    currency: str
    reference: str | None
    send_at: datetime | None
    valid_seconds: int

    def __repr__(self) -> str:
        return f"NewMessage({self.message_id})"


RELAY_LEASE_SECONDS = 8
"""How long the accepting process keeps the right to publish what it stored."""

# One statement, so that nothing of a message can exist without the rest: the row, its segments, one
# debit a segment, the wallet, the day's usage and the work.
_INSERT = f"""
WITH accepted AS (
    SELECT *, coalesce(send_at, now()) + valid_seconds * interval '1 second' AS expires_at,
           CASE WHEN send_at IS NULL THEN 'queued' ELSE 'scheduled' END AS state
    FROM unnest($1::new_message[])
), message AS (
    INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender,
        recipient, country, body, encoding, segment_count, class, at_least_once,
        segment_price_micro, currency, reference, status, created_at, send_at, expires_at,
        updated_at)
    SELECT message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient, country,
           body, encoding, segment_count, class, at_least_once, segment_price_micro, currency,
           reference, state, now(), send_at, expires_at, now()
    FROM accepted
), segment AS (
    INSERT INTO segments (message_id, part, state, carrier_id)
    SELECT message_id, part, state, carrier_id
    FROM accepted, generate_series(1, segment_count) AS part
), debit AS (
    INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id,
        part)
    SELECT wallet_id, revenue_wallet_id, segment_price_micro, 'debit', 'accepted', message_id, part
    FROM accepted, generate_series(1, segment_count) AS part
), work AS (
    INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count,
        state, ready_at, expires_at)
    SELECT message_id, account_id, line_id, carrier_id, country, class, segment_count,
           CASE WHEN send_at IS NULL THEN 'ready' ELSE 'scheduled' END,
           coalesce(send_at, now() + interval '{RELAY_LEASE_SECONDS} seconds'), expires_at
    FROM accepted
), wallet AS (
    UPDATE wallets w SET balance_micro = w.balance_micro - spent.amount_micro
    FROM (
        SELECT wallet_id, sum(segment_count * segment_price_micro)::bigint AS amount_micro
        FROM accepted GROUP BY wallet_id
    ) spent
    WHERE w.wallet_id = spent.wallet_id
)
INSERT INTO daily_usage AS d (account_id, slot, segment_count)
SELECT account_id, floor(extract(epoch FROM clock_timestamp()) / 900)::bigint, sum(segment_count)
FROM accepted GROUP BY account_id
ON CONFLICT (account_id, slot)
DO UPDATE SET segment_count = d.segment_count + excluded.segment_count
"""  # noqa: S608 - the constant above


async def insert(connection: Connection, accepted: Sequence[NewMessage]) -> None:
    """Store and debit. The purses must be locked, and afford them: else CheckViolationError."""
    if accepted:
        await connection.execute(_INSERT, accepted)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as its producer may read it."""

    message_id: UUID
    status: str
    reason: str
    sender: str
    recipient: str = field(repr=False)
    country: str
    encoding: str
    segment_count: int
    message_class: int
    at_least_once: bool
    segment_price_micro: int
    currency: str
    reference: str | None
    created_at: datetime
    send_at: datetime | None
    expires_at: datetime
    updated_at: datetime


_COLUMNS = """
message_id, status, reason, sender, recipient, country, encoding, segment_count, class,
at_least_once, segment_price_micro, currency, reference, created_at, send_at, expires_at, updated_at
"""

_GET = f"SELECT {_COLUMNS} FROM messages WHERE account_id = $1 AND message_id = $2"  # noqa: S608 - the constant above


async def get(connection: Connection, account_id: int, message_id: UUID) -> StoredMessage | None:
    """One message of this account; another account's message is None, like one that never was."""
    row = await connection.fetchrow(_GET, account_id, message_id)
    return None if row is None else StoredMessage(*row)


@dataclass(frozen=True, slots=True)
class Part:
    """One segment as its message's producer may read it."""

    part: int
    state: str
    code: str
    submitted_at: datetime | None
    accepted_at: datetime | None
    finished_at: datetime | None
    refunded: bool


_PARTS = """
SELECT s.part, s.state, s.code, s.submitted_at, s.accepted_at, s.finished_at,
       EXISTS (SELECT FROM transfers t WHERE t.message_id = s.message_id AND t.part = s.part
               AND t.kind = 'refund')
FROM segments s WHERE s.message_id = $1 ORDER BY s.part"""


async def parts(connection: Connection, message_id: UUID) -> list[Part]:
    """The segments of a message that was found with `get`."""
    return [Part(*row) for row in await connection.fetch(_PARTS, message_id)]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages to list; None does not filter. Newest first, below `before`."""

    status: str | None = None
    recipient: str | None = field(default=None, repr=False)
    reference: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    before: UUID | None = None


_LIST = f"""
SELECT {_COLUMNS} FROM messages
WHERE account_id = $1
  AND ($2::uuid IS NULL OR message_id < $2)
  AND ($3::text IS NULL OR status = $3)
  AND ($4::text IS NULL OR recipient = $4)
  AND ($5::text IS NULL OR reference = $5)
  AND ($6::timestamptz IS NULL OR created_at >= $6)
  AND ($7::timestamptz IS NULL OR created_at < $7)
ORDER BY message_id DESC LIMIT $8"""  # noqa: S608 - the constant above


async def select(
    connection: Connection, account_id: int, wanted: Filter, limit: int
) -> list[StoredMessage]:
    """The account's messages that fit, newest first, at most `limit`."""
    rows = await connection.fetch(
        _LIST,
        account_id,
        wanted.before,
        wanted.status,
        wanted.recipient,
        wanted.reference,
        wanted.created_from,
        wanted.created_until,
        limit,
    )
    return [StoredMessage(*row) for row in rows]


_COUNTS = """
SELECT status, count(*) AS message_count, sum(segment_count)::bigint AS segment_count,
       sum(segment_count * segment_price_micro)::bigint AS price_micro
FROM messages WHERE account_id = $1 GROUP BY status ORDER BY status"""


async def counts(connection: Connection, account_id: int) -> list[tuple[str, int, int, int]]:
    """(status, messages, segments, price in micro-units) of all that the account has sent."""
    return [(row[0], row[1], row[2], row[3]) for row in await connection.fetch(_COUNTS, account_id)]
