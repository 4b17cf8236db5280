"""How many segments a line may send per hour, day and month unless an operator says otherwise.

Source: the limits Aircall publishes for its lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.rules.line_kinds import LineKind


@dataclass(frozen=True, slots=True)
class LineLimits:
    """Segments per rolling window."""

    hour: int
    day: int
    month: int


NORTH_AMERICA: Final = LineLimits(hour=1_000, day=10_000, month=50_000)
FRENCH_MOBILE: Final = LineLimits(hour=100, day=1_000, month=10_000)
ELSEWHERE: Final = LineLimits(hour=500, day=2_000, month=20_000)


def default_for(country: str, kind: LineKind) -> LineLimits:
    """The limits of a line of this kind that belongs to this country (ISO 3166 alpha-2)."""
    if country in ("US", "CA"):
        return NORTH_AMERICA
    if country == "FR" and kind is LineKind.MOBILE:
        return FRENCH_MOBILE
    return ELSEWHERE
