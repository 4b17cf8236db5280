"""The file an operator writes: decoded strictly, judged as a whole, every fault with its place."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec

from services.commands.configuration import carriers
from services.commands.configuration.faults import Faults
from services.commands.configuration.values import (
    AccountName,
    AllowedPlace,
    Country,
    Credit,
    Currency,
    Destination,
    Keyword,
    LineKind,
    Price,
    Sender,
)
from shared.db import apply
from shared.rules import line_kinds, line_limits, retention
from shared.sms import sender_id

RECEIPT_DEADLINE_HOURS = 72
"""Of a database in which nothing is set."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class _Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hour: Count | None = None
    day: Count | None = None
    month: Count | None = None


class _Platform(msgspec.Struct, frozen=True, kw_only=True):
    receipt_deadline_hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 31)] | None = None
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] | None = None


class _Egress(msgspec.Struct, frozen=True, kw_only=True):
    allow: Annotated[list[AllowedPlace], msgspec.Meta(max_length=1_000)] = []


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    name: AccountName
    currency: Currency
    daily_limit: Count = 200
    requests_per_minute: Positive = 60
    special_numbers: bool = False
    credit: Credit = Credit(0)


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    account: AccountName
    sender: Sender
    kind: LineKind
    country: Country
    default: bool = False
    keyword: Keyword | None = None
    """First word of what phones send to it, where other accounts have the number too."""
    limits: _Limits = _Limits()


class _Price(msgspec.Struct, frozen=True, kw_only=True):
    country: Country
    currency: Currency
    amount: Price
    kind: Literal["usual", "special"] = "usual"
    """`special`: for premium-rate and other special numbers."""


class _Route(msgspec.Struct, frozen=True, kw_only=True):
    country: Destination
    carrier: str
    priority: Count


class _CountryLimit(msgspec.Struct, frozen=True, kw_only=True):
    country: Country
    limits: _Limits
    account: AccountName | None = None


_TABLES = ("account", "line", "price", "carrier", "route", "country_limit")

Decoded = TypeVar("Decoded", bound=msgspec.Struct)
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
        *_accounts(tables, faults),
        *_carriers(tables, faults),
        *_lines(tables, faults),
        *_prices(tables, faults),
        *_country_limits(tables, faults),
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


def _decode(kind: type[Decoded], entry: Table, where: str, faults: Faults) -> Decoded | None:
    """The entry, or None after all its faults were noted."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    fault_count = len(faults.sentences)
    values: dict[str, object] = {}
    for name in entry.keys() - fields.keys():
        faults.add(f"{where}.{name}", f"unknown key, expected {', '.join(fields)}")
    for name, field in fields.items():
        if name in entry:
            values[name] = faults.convert(entry[name], field.type, f"{where}.{name}")
        elif field.required:
            faults.add(f"{where}.{name}", "is missing")
    return kind(**values) if len(faults.sentences) == fault_count else None


Placed = tuple[str, apply.Row]


def _platform(tables: Table, current: apply.Rows, faults: Faults) -> Iterator[Placed]:
    entry = tables.get("platform", {})
    if not isinstance(entry, dict):
        faults.add("platform", "expected one table that begins with [platform]")
    elif entry and (found := _decode(_Platform, entry, "platform", faults)) is not None:
        row = _completed(found, current)
        if row.retention_days < (least := retention.days_at_least(row.receipt_deadline_hours)):
            what = f"expected {least} or more, with receipts' deadline of "
            faults.add("platform.retention_days", f"{what}{row.receipt_deadline_hours} hours")
        yield "platform", row


def _egress(tables: Table, faults: Faults) -> Iterator[Placed]:
    """All places that are allowed: the file's take the place of those before."""
    entry = tables.get("egress", {})
    if not isinstance(entry, dict):
        faults.add("egress", "expected one table that begins with [egress]")
    elif "egress" in tables and (found := _decode(_Egress, entry, "egress", faults)) is not None:
        yield "egress", apply.Egress(tuple(dict.fromkeys(map(str, found.allow))))


def _completed(found: _Platform, current: apply.Rows) -> apply.Platform:
    """What is named, and of the rest what is set already."""
    before = current.get(("platform",))
    hours, days = found.receipt_deadline_hours, found.retention_days
    if not isinstance(before, apply.Platform):
        before = apply.Platform(RECEIPT_DEADLINE_HOURS, retention.DAYS)
    return apply.Platform(
        before.receipt_deadline_hours if hours is None else hours,
        before.retention_days if days is None else days,
    )


def _accounts(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "account", faults):
        if (found := _decode(_Account, entry, where, faults)) is None:
            continue
        name, currency = str(found.name), str(found.currency)
        yield (
            where,
            apply.Account(
                name,
                currency,
                found.daily_limit,
                found.requests_per_minute,
                found.special_numbers,
            ),
        )
        if found.credit:
            yield f"{where}.credit", apply.Credit(name, currency, int(found.credit))


def _carriers(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "carrier", faults):
        carrier = carriers.read(entry, where, faults)
        if carrier is not None:
            yield where, carrier


def _lines(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "line", faults):
        if (found := _decode(_Line, entry, where, faults)) is None:
            continue
        sender = sender_id.parse(found.sender)
        kind = line_kinds.LineKind(found.kind)
        if not line_kinds.fits(kind, sender):
            faults.add(f"{where}.kind", f"a sender that is {sender.kind} is not of this kind")
        if found.keyword is not None and kind is line_kinds.LineKind.ALPHANUMERIC:
            faults.add(f"{where}.keyword", "phones cannot answer a sender that is alphanumeric")
        usual = line_limits.default_for(found.country, kind)
        limits = found.limits
        yield (
            where,
            apply.Line(
                account=str(found.account),
                sender=sender.value,
                kind=kind.value,
                country=str(found.country),
                is_default=found.default,
                hour_limit=usual.hour if limits.hour is None else limits.hour,
                day_limit=usual.day if limits.day is None else limits.day,
                month_limit=usual.month if limits.month is None else limits.month,
                keyword=None if found.keyword is None else str(found.keyword),
            ),
        )


def _prices(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "price", faults):
        if (found := _decode(_Price, entry, where, faults)) is not None:
            price = apply.SpecialPrice if found.kind == "special" else apply.Price
            yield where, price(str(found.country), str(found.currency), int(found.amount))


def _routes(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "route", faults):
        if (found := _decode(_Route, entry, where, faults)) is not None:
            yield where, apply.Route(str(found.country), found.carrier, found.priority)


def _country_limits(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "country_limit", faults):
        if (found := _decode(_CountryLimit, entry, where, faults)) is None:
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


def _check_defaults(placed: list[Placed], faults: Faults) -> None:
    lines = [(where, row) for where, row in placed if isinstance(row, apply.Line)]
    counts = Counter(row.account for _, row in lines if row.is_default)
    for where, row in lines:
        if row.is_default and counts[row.account] > 1:
            faults.add(f"{where}.default", f"account {row.account!r} has several default lines")


def _check_keywords(placed: list[Placed], current: apply.Rows, faults: Faults) -> None:
    """No two lines of one number may be called by one word, as they will stand."""
    after = {**current, **{row.key: row for _, row in placed}}
    lines = [row for row in after.values() if isinstance(row, apply.Line) and row.keyword]
    for where, row in placed:
        if not isinstance(row, apply.Line) or row.keyword is None:
            continue
        for other in lines:
            if (other.sender, other.keyword) == (row.sender, row.keyword) and other.key != row.key:
                faults.add(
                    f"{where}.keyword",
                    f"account {other.account!r} has {row.keyword!r} on this number",
                )
