"""Wallets and transfers: the only statements that move money (law 5)."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection
from shared.ledger.holdings import Holdings
from shared.ledger.transfers import Book, Kind
from shared.rules.usage_slots import SLOT_SECONDS


class Purse(NamedTuple):
    """The wallet that pays for an account, in its active currency, locked until the transaction
    ends. Accounts of one payer share it, and the payer's limit of a day."""

    account_id: int
    wallet_id: int
    revenue_wallet_id: int
    currency: str
    balance_micro: int
    daily_limit: int
    payer_account_id: int
    is_watched: bool = False
    """There are caps on what the payer spends, or a guard on how fast: see `spending`."""
    used_today: int | None = None
    """As `used_today` tells it; None: ask there."""


_LOCK = f"""
SELECT a.account_id, w.wallet_id, r.wallet_id AS revenue_wallet_id, w.currency, w.balance_micro,
       w.daily_limit, w.account_id AS payer_account_id, w.spending_watched
FROM accounts a
JOIN wallets w ON w.account_id = a.payer_account_id AND w.currency = a.currency
JOIN wallets r ON r.book = '{Book.REVENUE}' AND r.currency = w.currency
WHERE a.account_id = ANY ($1::int[])
ORDER BY w.wallet_id
FOR UPDATE OF w"""


async def lock_purses(connection: Connection, account_ids: Sequence[int]) -> dict[int, Purse]:
    """Lock the wallets that pay for these accounts, in the order that `shared.db` tells."""
    return {row["account_id"]: Purse(*row) for row in await connection.fetch(_LOCK, account_ids)}


_LOCK_ALL = """
SELECT FROM wallets WHERE account_id = ANY ($1::int[]) ORDER BY wallet_id FOR UPDATE"""


async def lock_wallets(connection: Connection, account_ids: Sequence[int]) -> None:
    """Lock all wallets of these accounts, which the caller has locked: whose currency or limit of a
    day changes, its wallets are told by the database (0043)."""
    await connection.execute(_LOCK_ALL, account_ids)


_BALANCE = """
SELECT w.balance_micro, w.currency FROM accounts a
JOIN wallets w ON w.account_id = a.payer_account_id AND w.currency = a.currency
WHERE a.account_id = $1"""


async def balance(connection: Connection, account_id: int) -> tuple[int, str]:
    """(micro-units, currency) of the active wallet that pays for the account."""
    row = await connection.fetchrow(_BALANCE, account_id)
    if row is None:
        raise LookupError(f"account {account_id} has no wallet")
    return row["balance_micro"], row["currency"]


_IS_UNTOUCHED = """
SELECT NOT EXISTS (
        SELECT FROM wallets w JOIN accounts a ON a.payer_account_id = w.account_id
        WHERE a.account_id = $1 AND w.balance_micro > 0)
   AND NOT EXISTS (SELECT FROM messages WHERE account_id = $1)"""


async def is_untouched(connection: Connection, account_id: int) -> bool:
    """Whether no money was ever credited to the account, as far as its messages are kept: it leaves
    a wallet only for them."""
    return bool(await connection.fetchval(_IS_UNTOUCHED, account_id))


NOW_SLOT = f"floor(extract(epoch FROM clock_timestamp()) / {SLOT_SECONDS})::bigint"
"""The running quarter of an hour, since 1970."""

# Slots of a quarter of an hour; one comes back a full day after its last second, so no rolling day
# ever holds more than the limit. clock_timestamp: the lock above may have been waited for.
_USED_TODAY = f"""
SELECT account_id, sum(segment_count)::bigint AS used FROM usage_by_slot
WHERE account_id = ANY ($1::int[]) AND slot >= {NOW_SLOT} - 96
GROUP BY account_id"""


async def used_today(connection: Connection, account_ids: Sequence[int]) -> dict[int, int]:
    """Segments accepted in the last rolling day for these payers. Exact once their purses are
    locked."""
    rows = await connection.fetch(_USED_TODAY, account_ids)
    return {row[0]: row[1] for row in rows}


_FORGET_USAGE = """
DELETE FROM daily_usage d USING (
    SELECT u.account_id, u.slot FROM accounts a CROSS JOIN LATERAL (
        SELECT account_id, slot FROM daily_usage
        WHERE account_id = a.account_id
          AND slot < floor(extract(epoch FROM now()) / 900)::bigint - 2 * 96
        ORDER BY slot LIMIT $1 FOR UPDATE SKIP LOCKED
    ) u LIMIT $1
) old WHERE d.account_id = old.account_id AND d.slot = old.slot"""


async def forget_usage(database: asyncpg.Pool) -> None:
    """Delete usage of days that no limit reaches any more."""
    await cleaning.by_pages(database, _FORGET_USAGE)


# Parts of the one statement that stores messages, for a debit of its own would be a round trip
# more: they read a part of it named `accepted`, whose rows name their wallets, the number of their
# segments and the price of one.
DEBIT = f"""
    INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id,
        part)
    SELECT wallet_id, revenue_wallet_id, segment_price_micro, '{Kind.DEBIT}', 'accepted',
           message_id, part
    FROM accepted, generate_series(1, segment_count) AS part
    RETURNING part"""
"""One transfer for each segment."""

SPENT = f"""
    SELECT wallet_id, revenue_wallet_id, array_agg(account_id) AS account_ids,
           sum(amount_micro)::bigint AS amount_micro, sum(segment_count)::bigint AS segment_count,
           (SELECT CASE WHEN NOT day_apart THEN {NOW_SLOT} END FROM platform) AS slot
    FROM (
        SELECT wallet_id, revenue_wallet_id, account_id,
               sum(segment_count * segment_price_micro) AS amount_micro,
               sum(segment_count) AS segment_count
        FROM accepted GROUP BY wallet_id, revenue_wallet_id, account_id
    ) of_account GROUP BY wallet_id, revenue_wallet_id ORDER BY wallet_id"""
"""What the transfers of DEBIT take from each wallet, for which accounts, and in which quarter of an
hour; no quarter while processes of the release before look for it in `daily_usage`."""

# Who waits for the lock may find that another has begun the next slot. Whatever is further away was
# told by a clock that went wrong.
_IS_SAME_SLOT = "w.usage_slot IN (spent.slot, spent.slot + 1)"

# A wallet counts the quarter of an hour that it was debited in last. What the account has used
# before is beside it, once the database has closed the quarter before that (0043).
SPEND = f"""
wallet AS (
    UPDATE wallets w SET balance_micro = w.balance_micro - spent.amount_micro,
        usage_slot = CASE WHEN {_IS_SAME_SLOT} THEN w.usage_slot
                     ELSE coalesce(spent.slot, w.usage_slot) END,
        slot_segment_count = CASE WHEN {_IS_SAME_SLOT} THEN w.slot_segment_count ELSE 0 END
            + CASE WHEN spent.slot IS NULL THEN 0 ELSE spent.segment_count END,
        day_segment_count = CASE WHEN {_IS_SAME_SLOT} THEN w.day_segment_count END
    FROM spent WHERE w.wallet_id = spent.wallet_id
    RETURNING w.account_id AS payer_account_id, w.wallet_id, spent.revenue_wallet_id, w.currency,
              w.balance_micro, w.daily_limit, w.spending_watched,
              w.day_segment_count + w.slot_segment_count AS used_today,
              spent.segment_count, spent.account_ids, spent.slot
), day AS (
    INSERT INTO daily_usage AS d (account_id, slot, segment_count)
    SELECT payer_account_id, {NOW_SLOT}, sum(segment_count)
    FROM wallet WHERE slot IS NULL GROUP BY payer_account_id ORDER BY payer_account_id
    ON CONFLICT (account_id, slot)
    DO UPDATE SET segment_count = d.segment_count + excluded.segment_count
)"""
"""Further parts of that statement, in which `spent` is SPENT: wallets, and the day's usage under
their locks."""

LEFT = """
    unnest(w.account_ids) AS account_id, w.wallet_id, w.revenue_wallet_id, w.currency,
    w.balance_micro, w.daily_limit, w.payer_account_id, w.spending_watched, w.used_today"""
LEFT_IN = f"""
    wallet w WHERE w.daily_limit IS NOT NULL
      AND (w.slot IS NULL OR clock_timestamp() < to_timestamp((w.slot + 1) * {SLOT_SECONDS}))"""
"""What its end selects, and from where: the purses that are left, where the payer's currency is
still the wallet's, and the quarter of an hour still that in which it was counted: the lock may have
been waited for."""

# The unique key (message, part, kind) lets each segment be refunded once; the wallet receives
# only what was inserted, so a second try moves nothing. Statistics tell what a message has cost by
# what it says was given back; whoever refunds has locked it, for its status has just changed.
_REFUND = f"""
WITH due AS (
    SELECT message_id, part, reason
    FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS t (message_id, part, reason)
), refunded AS (
    INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id,
                           part, created_at)
    SELECT t.to_wallet_id, t.from_wallet_id, t.amount_micro, '{Kind.REFUND}', due.reason,
           t.message_id, t.part, clock_timestamp()
    FROM due JOIN transfers t USING (message_id, part)
    WHERE t.kind = '{Kind.DEBIT}'
    ON CONFLICT (message_id, part, kind) DO NOTHING
    RETURNING to_wallet_id, amount_micro, message_id
), told AS (
    UPDATE messages m SET refunded_segment_count = m.refunded_segment_count + r.segment_count
    FROM (SELECT message_id, count(*) AS segment_count FROM refunded GROUP BY message_id) r
    WHERE m.message_id = r.message_id
), locked AS (
    SELECT wallet_id FROM wallets
    WHERE wallet_id IN (SELECT to_wallet_id FROM refunded) ORDER BY wallet_id FOR UPDATE
)
UPDATE wallets w SET balance_micro = w.balance_micro + s.amount_micro
FROM (
    SELECT to_wallet_id, sum(amount_micro)::bigint AS amount_micro
    FROM refunded JOIN locked ON wallet_id = to_wallet_id GROUP BY to_wallet_id
) s
WHERE w.wallet_id = s.to_wallet_id"""


async def refund(connection: Connection, segments: Sequence[tuple[UUID, int, str]]) -> None:
    """Give back what each (message, part, reason) was debited, once for ever."""
    if segments:
        await connection.execute(
            _REFUND,
            [message_id for message_id, _, _ in segments],
            [part for _, part, _ in segments],
            [reason for _, _, reason in segments],
        )


_CREDIT = f"""
WITH moved AS (
    INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason)
    SELECT f.wallet_id, w.wallet_id, $3, '{Kind.CREDIT}', $4
    FROM wallets w JOIN wallets f ON f.book = '{Book.FUNDING}' AND f.currency = w.currency
    WHERE w.account_id = $1 AND w.currency = $2
    RETURNING transfer_id, to_wallet_id, amount_micro
)
UPDATE wallets w SET balance_micro = w.balance_micro + moved.amount_micro
FROM moved WHERE w.wallet_id = moved.to_wallet_id
RETURNING w.balance_micro, moved.transfer_id"""


class CreditedWallet(NamedTuple):
    """A wallet after a credit, and the transfer that made it."""

    balance_micro: int
    transfer_id: int


async def credit(
    connection: Connection, account_id: int, currency: str, amount_micro: int, reason: str
) -> CreditedWallet:
    """Credit a wallet from the platform's funding book."""
    row = await connection.fetchrow(_CREDIT, account_id, currency, amount_micro, reason)
    if row is None:
        raise LookupError(f"account {account_id} has no wallet in {currency}")
    return CreditedWallet(*row)


_OPEN = f"""
INSERT INTO wallets (account_id, book, currency) VALUES ($1, '{Book.CUSTOMER}', $2)
ON CONFLICT (account_id, book, currency) DO NOTHING"""


async def open_wallet(connection: Connection, account_id: int, currency: str) -> None:
    """Give the account a wallet in this currency, unless it has one."""
    await connection.execute(_OPEN, account_id, currency)


_HOLDINGS = """
SELECT a.currency AS active, w.currency, w.balance_micro
FROM accounts a JOIN wallets w USING (account_id) WHERE a.account_id = $1"""


async def holdings(connection: Connection, account_id: int) -> Holdings:
    """All of the account's wallets, and which of them is active."""
    rows = await connection.fetch(_HOLDINGS, account_id)
    if not rows:
        raise LookupError(f"account {account_id} has no wallet")
    return Holdings(rows[0]["active"], {row["currency"]: row["balance_micro"] for row in rows})
