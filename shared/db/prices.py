"""Prices of destination countries: as operators write them, and as running processes hold them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from shared.db.connection import Connection
from shared.rules.price_periods import PricePeriod, timeline


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-units per segment to a country. `from_at` None: it always was, until another begins;
    `until_at` None: without an end."""

    country: str
    currency: str
    amount_micro: int
    from_at: datetime | None = None
    until_at: datetime | None = None
    kind: ClassVar[str] = "usual"

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other prices."""
        words = () if self.kind == "usual" else (self.kind,)
        since = () if self.from_at is None else (f"from {self.from_at.isoformat()}",)
        return ("price", self.country, self.currency, *words, *since)

    @property
    def period(self) -> PricePeriod:
        """When it would be in force if there were no other."""
        return PricePeriod(self.from_at, self.until_at, self.amount_micro)


@dataclass(frozen=True, slots=True)
class SpecialPrice(Price):
    """What a segment to a special number of the country costs."""

    kind: ClassVar[str] = "special"


KINDS = {kind.kind: kind for kind in (Price, SpecialPrice)}

_READ = """
SELECT 'usual', country, currency, amount_micro, NULL::timestamptz, until_at FROM prices
UNION ALL SELECT 'special', country, currency, amount_micro, NULL, until_at FROM special_prices
UNION ALL SELECT kind, country, currency, amount_micro, from_at, until_at FROM dated_prices"""


async def read(connection: Connection) -> list[Price]:
    """All that were ever set and not taken back."""
    return [KINDS[kind](*price) for kind, *price in await connection.fetch(_READ)]


Amounts = dict[tuple[str, str], int]
Timelines = dict[tuple[str, str], tuple[PricePeriod, ...]]


class PriceLists(NamedTuple):
    """(country, currency) → micro-units where they never change by themselves, else when which."""

    plain: Amounts
    dated: Timelines


async def load(connection: Connection) -> tuple[PriceLists, PriceLists]:
    """(usual, special) prices as they are looked up."""
    usual: defaultdict[tuple[str, str], list[Price]] = defaultdict(list)
    special: defaultdict[tuple[str, str], list[Price]] = defaultdict(list)
    for price in await read(connection):
        of_kind = special if isinstance(price, SpecialPrice) else usual
        of_kind[price.country, price.currency].append(price)
    return _sorted(usual), _sorted(special)


def _sorted(found: dict[tuple[str, str], list[Price]]) -> PriceLists:
    lists = PriceLists({}, {})
    for key, prices in found.items():
        if len(prices) == 1 and prices[0].from_at is None and prices[0].until_at is None:
            lists.plain[key] = prices[0].amount_micro
        else:
            lists.dated[key] = timeline(price.period for price in prices)
    return lists


_PUT = """
INSERT INTO {table} (country, currency, amount_micro, until_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (country, currency) DO UPDATE SET amount_micro = excluded.amount_micro,
    until_at = excluded.until_at"""
_PUT_PLAIN = {
    "usual": _PUT.format(table="prices"),
    "special": _PUT.format(table="special_prices"),
}
_PUT_DATED = """
INSERT INTO dated_prices (country, currency, amount_micro, until_at, from_at, kind)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (country, currency, kind, from_at) DO UPDATE SET amount_micro = excluded.amount_micro,
    until_at = excluded.until_at"""


async def put(connection: Connection, price: Price) -> None:
    """Write a price, new or changed."""
    values = (price.country, price.currency, price.amount_micro, price.until_at)
    if price.from_at is None:
        await connection.execute(_PUT_PLAIN[price.kind], *values)
    else:
        await connection.execute(_PUT_DATED, *values, price.from_at, price.kind)


_TAKE_BACK = """
DELETE FROM dated_prices
WHERE country = $1 AND currency = $2 AND kind = $3 AND from_at = $4 AND from_at > now()"""


async def take_back(
    connection: Connection, country: str, currency: str, kind: str, from_at: datetime
) -> bool:
    """Forget a price that was announced; False for one that has begun, or was never there."""
    done = await connection.execute(_TAKE_BACK, country, currency, kind, from_at)
    return done.endswith(" 1")
