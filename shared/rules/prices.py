"""What a segment costs: the one function that charging, quoting and listing go by (M22, M23, M35).

New messages have the price of the moment they are accepted at, whenever they are to leave; a stored
message keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from shared.rules.price_periods import PricePeriod, amount_at
from shared.rules.snapshot import Configuration


def segment_price_micro(
    current: Configuration, country: str, currency: str, moment: datetime, *, special: bool = False
) -> int | None:
    """Micro-units of the currency for a segment to the country at that moment; None: it is not
    offered. `special`: to a premium-rate or other special number, which has a price of its own."""
    key = (country, currency)
    periods = (current.special_price_periods if special else current.price_periods).get(key)
    if periods is not None:
        return amount_at(periods, moment)
    return (current.special_prices if special else current.prices).get(key)


def affordable_count(amount_micro: int, segment_price_micro: int, segment_count: int = 1) -> int:
    """How many messages of so many segments each an amount pays for, in full (M35)."""
    return amount_micro // (segment_price_micro * segment_count)


class ListedPrice(NamedTuple):
    """A line of the price list: what it costs to send to a country, and when."""

    country: str
    currency: str
    special: bool
    period: PricePeriod


def listed(current: Configuration, moment: datetime) -> Iterator[ListedPrice]:
    """Prices in force at that moment or announced, by country and currency, usual ones first; those
    whose time is over are left out."""
    found: dict[tuple[str, str, bool], tuple[PricePeriod, ...]] = {}
    for special, plain, dated in (
        (False, current.prices, current.price_periods),
        (True, current.special_prices, current.special_price_periods),
    ):
        for (country, currency), amount_micro in plain.items():
            found[country, currency, special] = (PricePeriod(None, None, amount_micro),)
        for (country, currency), periods in dated.items():
            found[country, currency, special] = periods
    for (country, currency, special), periods in sorted(found.items()):
        for period in periods:
            if period.ends_at > moment:
                yield ListedPrice(country, currency, special, period)


def next_change_at(current: Configuration, moment: datetime) -> datetime | None:
    """The first moment after this at which a price begins or ends by itself."""
    edges = (
        edge
        for dated in (current.price_periods, current.special_price_periods)
        for periods in dated.values()
        for period in periods
        for edge in (period.from_at, period.until_at)
        if edge is not None and edge > moment
    )
    return min(edges, default=None)
