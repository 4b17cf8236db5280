"""Configuration by its names, as an operator writes it: read whole, written row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from datetime import date

import asyncpg
import msgspec

from shared.db import billing, ledger, prices, routes, spending
from shared.db.connection import Connection
from shared.db.prices import Price as Price
from shared.db.prices import SpecialPrice as SpecialPrice
from shared.db.routes import Route as Route
from shared.ledger.transfers import Kind
from shared.rules.purposes import CONVERSATION_DAYS

CREDIT_REASON = "apply"
"""Marks credits made from a file, so that each is made once."""

_LOCK_KEY = 0x51C1CE02

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    currency: str
    daily_limit: int
    requests_per_minute: int
    special_numbers: bool = False
    plan: str = "professional"
    store_body: bool = True
    international: bool = False
    consent: str = "north_america"
    registration_enforced: bool = True
    senders_restricted: bool = False
    is_currency_deposited: bool = False
    """A deposit has set the currency, and from then on no file does (M41)."""

    @property
    def key(self) -> Key:
        return ("account", self.name)


@dataclass(frozen=True, slots=True)
class KnownSubAccount:
    """An account with its main account's settings: lines may name it, and nothing is set of it."""

    name: str

    @property
    def key(self) -> Key:
        return ("account", self.name)


@dataclass(frozen=True, slots=True)
class Line:
    account: str
    sender: str
    kind: str
    country: str
    is_default: bool
    hour_limit: int
    day_limit: int
    month_limit: int
    keyword: str | None = None
    second_limit: int | None = None
    name: str | None = None
    capabilities: tuple[str, ...] = ("sms",)
    mode: str = "application"
    registration: str = "none"
    brand: str | None = None
    campaign: str | None = None
    registered_from: date | None = None
    registered_until: date | None = None
    use_case: str | None = None
    purpose: str | None = None
    time_zone: str | None = None

    @property
    def key(self) -> Key:
        return ("line", self.account, self.sender)


@dataclass(frozen=True, slots=True)
class Carrier:
    name: str
    adapter: str
    segments_per_second: int
    settings: Mapping[str, object] = field(repr=False)

    @property
    def key(self) -> Key:
        return ("carrier", self.name)


@dataclass(frozen=True, slots=True)
class CountryLimit:
    """`account` None: for the whole platform. A window that is None is not limited."""

    account: str | None
    country: str
    hour_limit: int | None
    day_limit: int | None
    month_limit: int | None

    @property
    def key(self) -> Key:
        return ("country_limit", self.account or "*", self.country)


@dataclass(frozen=True, slots=True)
class Credit:
    """All that was, or is to be, credited to a wallet from files."""

    account: str
    currency: str
    amount_micro: int

    @property
    def key(self) -> Key:
        return ("credit", self.account, self.currency)


@dataclass(frozen=True, slots=True)
class Platform:
    """What is set once for everybody."""

    receipt_deadline_hours: int
    retention_days: int
    conversation_days: int = CONVERSATION_DAYS

    @property
    def key(self) -> Key:
        return ("platform",)


@dataclass(frozen=True, slots=True)
class Egress:
    """Places, each a host and a port, where requests to customers' URLs may go as well."""

    allow: tuple[str, ...]

    @property
    def key(self) -> Key:
        return ("egress",)


Row = (
    Platform
    | Egress
    | Account
    | KnownSubAccount
    | Line
    | Price
    | Carrier
    | Route
    | CountryLimit
    | Credit
    | spending.OperatorCap
    | spending.Guarding
    | billing.LegalEntity
    | billing.VatRate
    | billing.BillingDetails
)
Rows = Mapping[Key, Row]

_PLATFORM = (
    "SELECT receipt_deadline_seconds / 3600, retention_days, conversation_days FROM platform"
)
_EGRESS = "SELECT egress_allow FROM platform"
_ACCOUNTS = """
SELECT name, currency, daily_limit, requests_per_minute, special_numbers, plan, store_body,
       international, consent, registration_enforced, senders_restricted,
       currency_deposited_at IS NOT NULL
FROM accounts WHERE parent_account_id IS NULL"""
_SUB_ACCOUNTS = "SELECT name FROM accounts WHERE parent_account_id IS NOT NULL"
_LINES = """
SELECT a.name, l.sender, l.kind, l.country, l.is_default, l.hour_limit, l.day_limit, l.month_limit,
       l.keyword, l.second_limit, l.name, l.capabilities, l.mode, l.registration, l.brand,
       l.campaign, l.registered_from, l.registered_until, l.use_case, l.purpose, l.time_zone
FROM lines l JOIN accounts a USING (account_id)"""
_CARRIERS = "SELECT name, adapter, segments_per_second, settings FROM carriers"
_COUNTRY_LIMITS = """
SELECT a.name, l.country, l.hour_limit, l.day_limit, l.month_limit
FROM country_limits l LEFT JOIN accounts a USING (account_id)"""
_CREDITS = f"""
SELECT a.name, w.currency, sum(t.amount_micro)::bigint
FROM transfers t JOIN wallets w ON w.wallet_id = t.to_wallet_id JOIN accounts a USING (account_id)
WHERE t.kind = '{Kind.CREDIT}' AND t.reason = $1 GROUP BY a.name, w.currency"""  # noqa: S608 - words of our own


async def lock(connection: Connection) -> None:
    """Let no other apply in until this connection closes. Raises LockNotAvailableError after the
    connection's lock timeout."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)


async def read(connection: Connection) -> dict[Key, Row]:
    """All that is configured, on one snapshot."""
    rows: list[Row] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows += [Platform(*row) for row in await connection.fetch(_PLATFORM)]
        rows += [Egress(tuple(row[0])) for row in await connection.fetch(_EGRESS)]
        rows += [Account(*row) for row in await connection.fetch(_ACCOUNTS)]
        rows += [KnownSubAccount(*row) for row in await connection.fetch(_SUB_ACCOUNTS)]
        rows += [_line(row) for row in await connection.fetch(_LINES)]
        rows += await prices.read(connection)
        for name, adapter, pace, text in await connection.fetch(_CARRIERS):
            settings = msgspec.json.decode(text, type=dict[str, object])
            rows.append(Carrier(name, adapter, pace, settings))
        rows += await routes.read(connection)
        rows += [CountryLimit(*row) for row in await connection.fetch(_COUNTRY_LIMITS)]
        rows += await spending.read(connection)
        rows += await billing.read(connection)
        rows += [Credit(*row) for row in await connection.fetch(_CREDITS, CREDIT_REASON)]
    return {row.key: row for row in rows}


_LINE = f"{_LINES} WHERE l.line_id = $1 OR (a.name = $2 AND l.sender = $3)"


async def find_line(
    connection: Connection, *, line_id: int | None = None, account: str = "", sender: str = ""
) -> Line | None:
    """The line of this id, or else of this account and sender."""
    row = await connection.fetchrow(_LINE, line_id, account, sender)
    return None if row is None else _line(row)


def _line(row: asyncpg.Record) -> Line:
    """A row of what `_LINES` asks for."""
    line = Line(*row)
    return replace(line, capabilities=tuple(line.capabilities))


_PUT_PLATFORM = """
UPDATE platform SET receipt_deadline_seconds = $1 * 3600, retention_days = $2,
    conversation_days = $3"""
_PUT_EGRESS = "UPDATE platform SET egress_allow = $1"
_PUT_ACCOUNT = """
INSERT INTO accounts (name, currency, daily_limit, requests_per_minute, special_numbers, plan,
    store_body, international, consent, registration_enforced, senders_restricted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (name) DO UPDATE SET daily_limit = excluded.daily_limit,
    currency = CASE WHEN accounts.currency_deposited_at IS NULL THEN excluded.currency
               ELSE accounts.currency END,
    requests_per_minute = excluded.requests_per_minute, special_numbers = excluded.special_numbers,
    plan = excluded.plan, store_body = excluded.store_body, international = excluded.international,
    consent = excluded.consent, registration_enforced = excluded.registration_enforced,
    senders_restricted = excluded.senders_restricted
RETURNING account_id"""
_OPEN_EVENTS = "INSERT INTO event_heads (account_id) VALUES ($1) ON CONFLICT DO NOTHING"
_PUT_LINE = """
INSERT INTO lines AS l (account_id, sender, kind, country, is_default, hour_limit, day_limit,
    month_limit, keyword, second_limit, name, capabilities, mode, registration, brand, campaign,
    registered_from, registered_until, use_case, purpose, time_zone)
SELECT account_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    $20, $21
FROM accounts WHERE name = $1
ON CONFLICT (account_id, sender) DO UPDATE SET kind = excluded.kind, country = excluded.country,
    is_default = excluded.is_default, hour_limit = excluded.hour_limit,
    day_limit = excluded.day_limit, month_limit = excluded.month_limit,
    keyword = excluded.keyword, second_limit = excluded.second_limit, name = excluded.name,
    capabilities = excluded.capabilities, mode = CASE WHEN $22 THEN excluded.mode ELSE l.mode END,
    registration = excluded.registration, brand = excluded.brand, campaign = excluded.campaign,
    registered_from = excluded.registered_from, registered_until = excluded.registered_until,
    use_case = excluded.use_case, purpose = excluded.purpose, time_zone = excluded.time_zone"""
_PUT_CARRIER = """
INSERT INTO carriers (name, adapter, segments_per_second, settings) VALUES ($1, $2, $3, $4::jsonb)
ON CONFLICT (name) DO UPDATE SET adapter = excluded.adapter,
    segments_per_second = excluded.segments_per_second, settings = excluded.settings"""
_PUT_COUNTRY_LIMIT = """
INSERT INTO country_limits (account_id, country, hour_limit, day_limit, month_limit)
VALUES ((SELECT account_id FROM accounts WHERE name = $1), $2, $3, $4, $5)
ON CONFLICT (account_id, country) DO UPDATE SET hour_limit = excluded.hour_limit,
    day_limit = excluded.day_limit, month_limit = excluded.month_limit"""


_LOCK_ACCOUNTS = """
SELECT account_id FROM accounts WHERE name = ANY ($1::text[])
ORDER BY account_id FOR NO KEY UPDATE"""


async def lock_accounts(connection: Connection, rows: Iterable[Row]) -> None:
    """Lock the accounts of these rows and their wallets, before any of the rows is put."""
    names = {
        row.name if isinstance(row, Account) else row.account
        for row in rows
        if isinstance(row, Account | Credit)
    }
    found = await connection.fetch(_LOCK_ACCOUNTS, names)
    await ledger.lock_wallets(connection, [row["account_id"] for row in found])


async def put(connection: Connection, row: Row, before: Row | None) -> None:
    """Write one row, new or changed. The rows it names must be there already, and an account's
    other default line must have ceased to be one."""
    match row:
        case Platform():
            await connection.execute(_PUT_PLATFORM, *astuple(row))
        case Egress():
            await connection.execute(_PUT_EGRESS, row.allow)
        case Account():
            await _put_account(connection, row)
        case Line():
            # The mode is its owner's as well, who may have changed it since it was read.
            is_mode_set = not (isinstance(before, Line) and before.mode == row.mode)
            await connection.execute(_PUT_LINE, *astuple(row), is_mode_set)
        case Price():
            await prices.put(connection, row)
        case Carrier():
            settings = msgspec.json.encode(row.settings).decode()
            await connection.execute(
                _PUT_CARRIER, row.name, row.adapter, row.segments_per_second, settings
            )
        case Route():
            await routes.put(connection, row)
        case CountryLimit():
            await connection.execute(
                _PUT_COUNTRY_LIMIT,
                row.account,
                row.country,
                row.hour_limit,
                row.day_limit,
                row.month_limit,
            )
        case spending.OperatorCap() | spending.Guarding():
            await spending.put(connection, row)
        case billing.LegalEntity() | billing.VatRate() | billing.BillingDetails():
            await billing.put(connection, row)
        case Credit():
            given_micro = before.amount_micro if isinstance(before, Credit) else 0
            await _give(connection, row, row.amount_micro - given_micro)


async def _put_account(connection: Connection, account: Account) -> None:
    *written, _is_currency_deposited = astuple(account)
    account_id = await connection.fetchval(_PUT_ACCOUNT, *written)
    await ledger.open_wallet(connection, account_id, account.currency)
    await connection.execute(_OPEN_EVENTS, account_id)


async def _give(connection: Connection, credit: Credit, amount_micro: int) -> None:
    account_id = await connection.fetchval(
        "SELECT account_id FROM accounts WHERE name = $1", credit.account
    )
    await ledger.open_wallet(connection, account_id, credit.currency)
    await ledger.credit(connection, account_id, credit.currency, amount_micro, CREDIT_REASON)
