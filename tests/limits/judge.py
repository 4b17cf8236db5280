"""What left, by the true time, held against every limit in every rolling window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.rules.lines import Limits

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONTH_MS = 31 * DAY_MS


class Departure(NamedTuple):
    """Segments that a carrier took, or may have taken."""

    at_ms: int
    scopes: tuple[str, ...]
    segment_count: int


class Fullest(NamedTuple):
    """The window that held most, measured by its limit."""

    scope: str
    window: str
    segment_count: int
    limit: int

    @property
    def over(self) -> int:
        """Segments too many."""
        return max(0, self.segment_count - self.limit)


def fullest(departures: Sequence[Departure], limits: Mapping[str, Limits]) -> list[Fullest]:
    """Of every limit the fullest rolling window: [at, at + length), so two departures one length
    apart are not in one. A rolling window bounds every calendar unit of its length in it."""
    found = []
    for scope, limit in limits.items():
        own = [each for each in departures if scope in each.scopes]
        for window, length_ms, most in (
            ("hour", HOUR_MS, limit.hour),
            ("day", DAY_MS, limit.day),
            ("month", MONTH_MS, limit.month),
        ):
            if most is not None:
                found.append(Fullest(scope, window, _peak(own, length_ms), most))
    return found


def _peak(departures: Iterable[Departure], length_ms: int) -> int:
    within: list[Departure] = []
    total = peak = 0
    for each in sorted(departures):
        within.append(each)
        total += each.segment_count
        while within[0].at_ms + length_ms <= each.at_ms:
            total -= within.pop(0).segment_count
        peak = max(peak, total)
    return peak
