"""A country's price as an operator writes it: in one currency or several, always or for a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.commands.configuration.faults import Faults
from services.commands.configuration.values import Country, Currency, SegmentPrice
from shared.db import prices as stored
from shared.ledger import money

_Moment = Annotated[datetime, Meta(tz=True)]


class _Amounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By currency."""

    EUR: SegmentPrice | None = None
    GBP: SegmentPrice | None = None
    USD: SegmentPrice | None = None


class _Price(msgspec.Struct, frozen=True, kw_only=True):
    country: Country
    currency: Currency | None = None
    amount: SegmentPrice | None = None
    amounts: _Amounts | None = None
    kind: Literal["usual", "special"] = "usual"
    """`special`: for premium-rate and other special numbers."""
    from_: _Moment | None = msgspec.field(default=None, name="from")
    until: _Moment | None = None


def read(
    entry: Mapping[str, object], where: str, faults: Faults
) -> Iterator[tuple[str, stored.Price]]:
    """(place, price) of each currency that the entry names; its faults are noted."""
    if (found := faults.decode(_Price, entry, where)) is None:
        return
    if found.from_ is not None and found.until is not None and found.until <= found.from_:
        faults.add(f"{where}.until", "expected a moment after `from`")
        return
    for place, currency, amount in _amounts(found, where, faults):
        price = stored.KINDS[found.kind]
        times = _in_utc(found.from_), _in_utc(found.until)
        yield place, price(str(found.country), currency, int(amount), *times)


def _in_utc(at: datetime | None) -> datetime | None:
    """As the database tells it."""
    return None if at is None else at.astimezone(UTC)


def _amounts(found: _Price, where: str, faults: Faults) -> Iterator[tuple[str, str, SegmentPrice]]:
    """(place, currency, amount) of each that the entry names."""
    if found.amounts is None:
        if found.currency is None or found.amount is None:
            missing = "currency" if found.currency is None else "amount"
            faults.add(f"{where}.{missing}", "is missing (or `amounts`, by currency)")
        else:
            yield where, str(found.currency), found.amount
        return
    if found.currency is not None or found.amount is not None:
        faults.add(f"{where}.amounts", "expected this, or `currency` and `amount`, but not both")
        return
    named = [(each, getattr(found.amounts, each)) for each in money.CURRENCIES]
    if not any(amount is not None for _, amount in named):
        faults.add(f"{where}.amounts", f"expected some of {', '.join(money.CURRENCIES)}")
    for currency, amount in named:
        if amount is not None:
            yield f"{where}.amounts.{currency}", currency, amount
