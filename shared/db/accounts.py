"""Accounts as operators see them: who there is, what they have spent, how many tokens they hold."""

from __future__ import annotations

from dataclasses import dataclass

from shared.db.connection import Connection
from shared.ledger.transfers import Kind


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its payer's active wallet; `balance_micro` in micro-units of `currency`.
    `main`: the name of a sub-account's main account, which is its payer; their settings are one.
    `special_numbers`: it may send to premium-rate and other special numbers. The rest is as in
    `shared/rules/snapshot.py`."""

    account_id: int
    name: str
    currency: str
    balance_micro: int
    daily_limit: int
    requests_per_minute: int
    special_numbers: bool
    plan: str
    store_body: bool
    international: bool
    consent: str
    registration_enforced: bool
    senders_restricted: bool
    payer_account_id: int
    main: str | None


_SELECT = """
SELECT a.account_id, a.name, a.currency, w.balance_micro, p.daily_limit, p.requests_per_minute,
       p.special_numbers, p.plan, p.store_body, p.international, p.consent, p.registration_enforced,
       p.senders_restricted, a.payer_account_id,
       CASE WHEN a.parent_account_id IS NOT NULL THEN p.name END
FROM accounts a
JOIN accounts p ON p.account_id = a.payer_account_id
JOIN wallets w ON w.account_id = p.account_id AND w.currency = a.currency
WHERE $1::text IS NULL OR a.name = $1
ORDER BY a.name"""


async def find(connection: Connection, name: str) -> Account | None:
    """The account of this name, or None."""
    row = await connection.fetchrow(_SELECT, name)
    return None if row is None else Account(*row)


async def every(connection: Connection) -> list[Account]:
    """All accounts, by name."""
    return [Account(*row) for row in await connection.fetch(_SELECT, None)]


@dataclass(frozen=True, slots=True)
class Movements:
    """What has gone through an account's active wallet, in micro-units."""

    debited_micro: int
    refunded_micro: int
    credited_micro: int


_MOVEMENTS = f"""
SELECT coalesce(sum(t.amount_micro) FILTER (WHERE t.kind = '{Kind.DEBIT}'), 0)::bigint,
       coalesce(sum(t.amount_micro) FILTER (WHERE t.kind = '{Kind.REFUND}'), 0)::bigint,
       coalesce(sum(t.amount_micro) FILTER (WHERE t.kind = '{Kind.CREDIT}'), 0)::bigint
FROM accounts a
JOIN wallets w ON w.account_id = a.account_id AND w.currency = a.currency
JOIN transfers t ON w.wallet_id IN (t.from_wallet_id, t.to_wallet_id)
WHERE a.account_id = $1"""  # noqa: S608 - words of our own


async def movements(connection: Connection, account_id: int) -> Movements:
    """Sums over every transfer of the account's active wallet."""
    row = await connection.fetchrow(_MOVEMENTS, account_id)
    return Movements(*row) if row else Movements(0, 0, 0)
