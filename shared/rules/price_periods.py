"""When a price is in force: of several whose time it is, the one that began last (M22).

An operator may publish a price ahead of its time, end one, or offer another for a while; what an
account is charged, or reads in the list, is told by `timeline` alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class PricePeriod(NamedTuple):
    """Micro-units per segment, from a moment on until just before another; None: always was,
    without an end."""

    from_at: datetime | None
    until_at: datetime | None
    amount_micro: int

    @property
    def begins_at(self) -> datetime:
        """Its first moment, also where it always was."""
        return self.from_at or _FIRST

    @property
    def ends_at(self) -> datetime:
        """The first moment after it, also where it has no end."""
        return self.until_at or _LAST

    def holds_at(self, moment: datetime) -> bool:
        """Whether it is its time."""
        return self.begins_at <= moment < self.ends_at


def timeline(prices: Iterable[PricePeriod]) -> tuple[PricePeriod, ...]:
    """The same as periods that do not overlap, in their order; between them nothing is offered."""
    every = sorted(prices, key=lambda price: price.begins_at)
    edges = sorted({edge for price in every for edge in (price.begins_at, price.ends_at)})
    found: list[PricePeriod] = []
    for begin, end in itertools.pairwise(edges):
        in_force = [price for price in every if price.holds_at(begin)]
        if not in_force:
            continue
        period = _period(begin, end, in_force[-1].amount_micro)
        if found and found[-1].until_at == begin and found[-1][2] == period.amount_micro:
            period = PricePeriod(found.pop().from_at, period.until_at, period.amount_micro)
        found.append(period)
    return tuple(found)


def _period(begin: datetime, end: datetime, amount_micro: int) -> PricePeriod:
    return PricePeriod(
        None if begin == _FIRST else begin, None if end == _LAST else end, amount_micro
    )


def amount_at(periods: Sequence[PricePeriod], moment: datetime) -> int | None:
    """Micro-units per segment at that moment, of a timeline; None: it is not offered then."""
    for period in reversed(periods):
        if period.holds_at(moment):
            return period.amount_micro
    return None
