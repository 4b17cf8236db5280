"""The file an operator writes: decoded strictly, judged as a whole, every fault with its place."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from services.commands.configuration import billing, carriers, lines, prices, routes, spending
from services.commands.configuration.faults import Faults
from services.commands.configuration.values import (
    AccountName,
    AllowedPlace,
    Count,
    Country,
    Credit,
    Currency,
    PlanName,
    Positive,
    WindowLimits,
)
from shared.db import apply
from shared.rules import retention
from shared.rules.purposes import ConsentPolicy

RECEIPT_DEADLINE_HOURS = 72
"""Of a database in which nothing is set."""


class _Platform(msgspec.Struct, frozen=True, kw_only=True):
    receipt_deadline_hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 31)] | None = None
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] | None = None
    conversation_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] | None = None


class _Egress(msgspec.Struct, frozen=True, kw_only=True):
    allow: Annotated[list[AllowedPlace], msgspec.Meta(max_length=1_000)] = []


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    name: AccountName
    currency: Currency
    daily_limit: Count = 200
    requests_per_minute: Positive = 60
    special_numbers: bool = False
    credit: Credit = Credit(0)
    plan: PlanName | None = None
    store_body: bool | None = None
    international: bool | None = None
    consent: ConsentPolicy | None = None
    registration_enforced: bool | None = None
    senders_restricted: bool | None = None


class _CountryLimit(msgspec.Struct, frozen=True, kw_only=True):
    country: Country
    limits: WindowLimits
    account: AccountName | None = None


_KEPT = (
    "plan",
    "store_body",
    "international",
    "consent",
    "registration_enforced",
    "senders_restricted",
)
"""What stays as it is where a file does not name it."""

_TABLES = (
    "account",
    "line",
    "price",
    "carrier",
    "route",
    "country_limit",
    "spending_cap",
    "velocity_guard",
    "billing",
)

Table = Mapping[str, object]


def read(text: str, current: apply.Rows) -> tuple[list[apply.Row], list[str]]:
    """(rows in the order to write them, faults); the rows mean something only without faults.

    `current` is what the database holds already: rows may name accounts and carriers of it.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [], [f"not valid TOML: {error}"]
    faults = Faults()
    for name in tables.keys() - {"platform", "egress", *_TABLES}:
        known = ", ".join(f"[[{table}]]" for table in _TABLES)
        faults.add(name, f"unknown table, expected [platform], [egress], {known}")
    placed = [
        *_platform(tables, current, faults),
        *_egress(tables, faults),
        *_accounts(tables, current, faults),
        *_carriers(tables, faults),
        *_lines(tables, current, faults),
        *_prices(tables, faults),
        *_country_limits(tables, faults),
        *_spending(tables, current, faults),
        *_billing(tables, faults),
        *_routes(tables, faults),
    ]
    _check_twice(placed, faults)
    _check_names(placed, current, faults)
    _check_defaults(placed, faults)
    _check_keywords(placed, current, faults)
    return [row for _, row in placed], faults.sentences


def _entries(tables: Table, name: str, faults: Faults) -> Iterator[tuple[str, Table]]:
    """(place, entry) of each entry of [[name]]."""
    entries = tables.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        faults.add(name, f"expected entries that begin with [[{name}]]")
        return
    for index, entry in enumerate(entries):
        yield f"{name}[{index}]", entry


Placed = tuple[str, apply.Row]


def _platform(tables: Table, current: apply.Rows, faults: Faults) -> Iterator[Placed]:
    entry = tables.get("platform", {})
    if not isinstance(entry, dict):
        faults.add("platform", "expected one table that begins with [platform]")
        return
    yield from billing.read_legal_entity(entry.get("legal_entity"), faults)
    entry = {name: value for name, value in entry.items() if name != "legal_entity"}
    if entry and (found := faults.decode(_Platform, entry, "platform")) is not None:
        row = _completed(found, current)
        if row.retention_days < (least := retention.days_at_least(row.receipt_deadline_hours)):
            what = f"expected {least} or more, with receipts' deadline of "
            faults.add("platform.retention_days", f"{what}{row.receipt_deadline_hours} hours")
        if row.conversation_days > row.retention_days:
            what = f"expected {row.retention_days} or less, for what phones write is kept no longer"
            faults.add("platform.conversation_days", what)
        yield "platform", row


def _egress(tables: Table, faults: Faults) -> Iterator[Placed]:
    """All places that are allowed: the file's take the place of those before."""
    entry = tables.get("egress", {})
    if not isinstance(entry, dict):
        faults.add("egress", "expected one table that begins with [egress]")
    elif "egress" in tables and (found := faults.decode(_Egress, entry, "egress")) is not None:
        yield "egress", apply.Egress(tuple(dict.fromkeys(map(str, found.allow))))


def _completed(found: _Platform, current: apply.Rows) -> apply.Platform:
    """What is named, and of the rest what is set already."""
    before = current.get(("platform",))
    hours, days = found.receipt_deadline_hours, found.retention_days
    talk = found.conversation_days
    if not isinstance(before, apply.Platform):
        before = apply.Platform(RECEIPT_DEADLINE_HOURS, retention.DAYS)
    return apply.Platform(
        before.receipt_deadline_hours if hours is None else hours,
        before.retention_days if days is None else days,
        before.conversation_days if talk is None else talk,
    )


def _accounts(tables: Table, current: apply.Rows, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "account", faults):
        if (found := faults.decode(_Account, entry, where)) is None:
            continue
        name, currency = str(found.name), str(found.currency)
        if isinstance(current.get(("account", name)), apply.KnownSubAccount):
            faults.add(where, f"{name!r} is a sub-account: it has its main account's settings")
            continue
        yield where, _account(found, current.get(("account", name)))
        if found.credit:
            yield f"{where}.credit", apply.Credit(name, currency, int(found.credit))


def _account(found: _Account, before: apply.Row | None) -> apply.Account:
    """What is named, of the older settings their default, and of the others what is set already."""
    account = apply.Account(
        str(found.name),
        str(found.currency),
        found.daily_limit,
        found.requests_per_minute,
        found.special_numbers,
    )
    wanted: dict[str, Any] = {}
    for name in _KEPT:
        named = getattr(found, name)
        if named is not None:
            wanted[name] = str(named) if isinstance(named, str) else named
        elif before is not None:
            wanted[name] = getattr(before, name)
    if isinstance(before, apply.Account) and before.is_currency_deposited:
        wanted |= {"currency": before.currency, "is_currency_deposited": True}
    return replace(account, **wanted)


def _carriers(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "carrier", faults):
        carrier = carriers.read(entry, where, faults)
        if carrier is not None:
            yield where, carrier


def _lines(tables: Table, current: apply.Rows, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "line", faults):
        line = lines.read(entry, where, current, faults)
        if line is not None:
            yield where, line


def _prices(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "price", faults):
        yield from prices.read(entry, where, faults)


def _spending(tables: Table, current: apply.Rows, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "spending_cap", faults):
        yield from spending.read_cap(entry, where, current, faults)
    for where, entry in _entries(tables, "velocity_guard", faults):
        yield from spending.read_guard(entry, where, current, faults)


def _billing(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "billing", faults):
        if (details := billing.read_details(entry, where, faults)) is not None:
            yield where, details


def _routes(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "route", faults):
        if (route := routes.read(entry, where, faults)) is not None:
            yield where, route


def _country_limits(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "country_limit", faults):
        if (found := faults.decode(_CountryLimit, entry, where)) is None:
            continue
        hour, day, month = found.limits.hour, found.limits.day, found.limits.month
        if hour is None and day is None and month is None:
            faults.add(f"{where}.limits", "expected hour, day or month")
        account = None if found.account is None else str(found.account)
        yield where, apply.CountryLimit(account, str(found.country), hour, day, month)


def _check_twice(placed: list[Placed], faults: Faults) -> None:
    first: dict[apply.Key, str] = {}
    for where, row in placed:
        if first.setdefault(row.key, where) != where:
            faults.add(where, f"says the same thing as {first[row.key]}")


def _check_names(placed: list[Placed], current: apply.Rows, faults: Faults) -> None:
    known = set(current) | {row.key for _, row in placed}
    for where, row in placed:
        account = getattr(row, "account", None)
        if account is not None and ("account", account) not in known:
            faults.add(f"{where}.account", f"there is no account {account!r}")
        if isinstance(row, apply.Route) and ("carrier", row.carrier) not in known:
            faults.add(f"{where}.carrier", f"there is no carrier {row.carrier!r}")
        line = row.line if isinstance(row, apply.Route) else None
        if line is not None and ("line", str(account), line) not in known:
            faults.add(f"{where}.line", f"account {account!r} has no line {line!r}")


def _check_defaults(placed: list[Placed], faults: Faults) -> None:
    found = [(where, row) for where, row in placed if isinstance(row, apply.Line)]
    counts = Counter(row.account for _, row in found if row.is_default)
    for where, row in found:
        if row.is_default and counts[row.account] > 1:
            faults.add(f"{where}.default", f"account {row.account!r} has several default lines")


def _check_keywords(placed: list[Placed], current: apply.Rows, faults: Faults) -> None:
    """No two lines of one number may be called by one word, as they will stand."""
    after = {**current, **{row.key: row for _, row in placed}}
    called = [row for row in after.values() if isinstance(row, apply.Line) and row.keyword]
    for where, row in placed:
        if not isinstance(row, apply.Line) or row.keyword is None:
            continue
        for other in called:
            if (other.sender, other.keyword) == (row.sender, row.keyword) and other.key != row.key:
                faults.add(
                    f"{where}.keyword",
                    f"account {other.account!r} has {row.keyword!r} on this number",
                )
