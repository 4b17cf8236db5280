"""The file an operator writes: decoded strictly, judged as a whole, every fault with its place."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
import phonenumbers

from services.commands import operator_carriers
from services.commands.faults import Faults
from shared.db import apply
from shared.ledger import money
from shared.sms import line_limits, sender_id

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Name = Annotated[str, msgspec.Meta(max_length=64)]
Currency = Literal["EUR", "GBP", "USD"]

_ACCOUNT_NAME = re.compile(r"[^\s*][^\x00-\x1f]{0,63}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS) | {"001"}


class _Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hour: Count | None = None
    day: Count | None = None
    month: Count | None = None


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    name: Name
    currency: Currency
    daily_limit: Count = 200
    requests_per_minute: Positive = 60
    credit: str | Count = "0"


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    account: Name
    sender: str
    kind: str
    country: str
    default: bool = False
    limits: _Limits = _Limits()


class _Price(msgspec.Struct, frozen=True, kw_only=True):
    country: str
    currency: Currency
    amount: str


class _Route(msgspec.Struct, frozen=True, kw_only=True):
    country: str
    carrier: str
    priority: Count


class _CountryLimit(msgspec.Struct, frozen=True, kw_only=True):
    country: str
    limits: _Limits
    account: Name | None = None


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
    for name in tables.keys() - set(_TABLES):
        faults.add(name, f"unknown table, expected {', '.join(f'[[{t}]]' for t in _TABLES)}")
    placed = [
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


def _accounts(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "account", faults):
        if (found := _decode(_Account, entry, where, faults)) is None:
            continue
        if not _ACCOUNT_NAME.fullmatch(found.name):
            faults.add(f"{where}.name", "expected 1 to 64 characters, no blank at the beginning")
        yield (
            where,
            apply.Account(found.name, found.currency, found.daily_limit, found.requests_per_minute),
        )
        credit_micro = _amount(str(found.credit), f"{where}.credit", faults)
        if credit_micro:
            yield f"{where}.credit", apply.Credit(found.name, found.currency, credit_micro)


def _carriers(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "carrier", faults):
        carrier = operator_carriers.read(entry, where, faults)
        if carrier is not None:
            yield where, carrier


def _lines(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "line", faults):
        if (found := _decode(_Line, entry, where, faults)) is None:
            continue
        _check_country(found.country, f"{where}.country", faults)
        _check_sender(found, where, faults)
        usual = line_limits.default_for(found.country, found.kind)
        limits = found.limits
        yield (
            where,
            apply.Line(
                account=found.account,
                sender=found.sender,
                kind=found.kind,
                country=found.country,
                is_default=found.default,
                hour_limit=usual.hour if limits.hour is None else limits.hour,
                day_limit=usual.day if limits.day is None else limits.day,
                month_limit=usual.month if limits.month is None else limits.month,
            ),
        )


def _check_sender(line: _Line, where: str, faults: Faults) -> None:
    if not _KIND.fullmatch(line.kind):
        faults.add(f"{where}.kind", "expected a word of a-z, 0-9 and _, such as mobile")
    try:
        sender = sender_id.parse(line.sender)
    except sender_id.InvalidSender as error:
        faults.add(f"{where}.sender", str(error))
        return
    if not line_limits.fits(line.kind, sender):
        faults.add(f"{where}.kind", f"a sender that is {sender.kind} is not of this kind")


def _prices(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "price", faults):
        if (found := _decode(_Price, entry, where, faults)) is None:
            continue
        _check_country(found.country, f"{where}.country", faults)
        amount_micro = _amount(found.amount, f"{where}.amount", faults)
        if amount_micro == 0:
            faults.add(f"{where}.amount", "a price is more than 0")
        yield where, apply.Price(found.country, found.currency, amount_micro or 0)


def _routes(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "route", faults):
        if (found := _decode(_Route, entry, where, faults)) is None:
            continue
        if found.country != "*":
            _check_country(found.country, f"{where}.country", faults)
        yield where, apply.Route(found.country, found.carrier, found.priority)


def _country_limits(tables: Table, faults: Faults) -> Iterator[Placed]:
    for where, entry in _entries(tables, "country_limit", faults):
        if (found := _decode(_CountryLimit, entry, where, faults)) is None:
            continue
        _check_country(found.country, f"{where}.country", faults)
        hour, day, month = found.limits.hour, found.limits.day, found.limits.month
        if hour is None and day is None and month is None:
            faults.add(f"{where}.limits", "expected hour, day or month")
        yield where, apply.CountryLimit(found.account, found.country, hour, day, month)


def _amount(text: str, where: str, faults: Faults) -> int | None:
    try:
        return money.parse_amount(text)
    except money.InvalidAmount as error:
        faults.add(where, str(error))
        return None


def _check_country(country: str, where: str, faults: Faults) -> None:
    if country not in _COUNTRIES:
        faults.add(where, "expected the two capital letters of a country (ISO 3166), such as FR")


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
