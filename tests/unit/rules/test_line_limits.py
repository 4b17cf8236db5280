"""The limits a line has unless somebody sets others."""

from __future__ import annotations

import pytest

from shared.rules import line_limits
from shared.rules.line_kinds import LineKind


@pytest.mark.parametrize(
    ("country", "kind", "expected"),
    [
        ("US", LineKind.LONG_CODE, (1_000, 10_000, 50_000)),
        ("CA", LineKind.TOLL_FREE, (1_000, 10_000, 50_000)),
        ("FR", LineKind.MOBILE, (100, 1_000, 10_000)),
        ("FR", LineKind.ALPHANUMERIC, (500, 2_000, 20_000)),
        ("DE", LineKind.MOBILE, (500, 2_000, 20_000)),
    ],
)
def test_limits_follow_country_and_kind(
    country: str, kind: LineKind, expected: tuple[int, int, int]
) -> None:
    limits = line_limits.default_for(country, kind)
    assert (limits.hour, limits.day, limits.month) == expected
