"""The price list as bytes, for whoever asks: made once, and again when a price changes."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

import msgspec

from shared.rules import prices
from shared.rules.snapshot import Configuration
from shared.shapes.price import CountryPrice, shown


class PriceList(msgspec.Struct, frozen=True):
    """Prices in force and announced, by country and currency. A country that is not here is not
    offered."""

    prices: list[CountryPrice]


class _Copy(NamedTuple):
    version: int
    good_until: datetime | None
    body: bytes
    tag: str


class Showcase:
    """Keeps a copy for each choice of currency and country there has been: no more than there are
    of both, for nothing else is asked for."""

    def __init__(self) -> None:
        self._copies: dict[tuple[str | None, str | None], _Copy] = {}

    def copy(
        self, current: Configuration, now: datetime, currency: str | None, country: str | None
    ) -> _Copy:
        """The list as it stands at this moment, of one currency or country if they are named."""
        kept = self._copies.get((currency, country))
        if (
            kept is None
            or kept.version != current.version
            or (kept.good_until is not None and now >= kept.good_until)
        ):
            kept = self._copies[currency, country] = _made(current, now, currency, country)
        return kept


def _made(
    current: Configuration, now: datetime, currency: str | None, country: str | None
) -> _Copy:
    found = [
        shown(each)
        for each in prices.listed(current, now)
        if currency in (None, each.currency) and country in (None, each.country)
    ]
    body = msgspec.json.encode(PriceList(found))
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return _Copy(current.version, prices.next_change_at(current, now), body, tag)
