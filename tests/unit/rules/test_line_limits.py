"""The limits a line has unless somebody sets others."""

from __future__ import annotations

import pytest

from shared.rules import line_limits
from shared.sms import sender_id


@pytest.mark.parametrize(
    ("country", "kind", "expected"),
    [
        ("US", "long_code", (1_000, 10_000, 50_000)),
        ("CA", "toll_free", (1_000, 10_000, 50_000)),
        ("FR", "mobile", (100, 1_000, 10_000)),
        ("FR", "alphanumeric", (500, 2_000, 20_000)),
        ("DE", "mobile", (500, 2_000, 20_000)),
    ],
)
def test_limits_follow_country_and_kind(
    country: str, kind: str, expected: tuple[int, int, int]
) -> None:
    limits = line_limits.default_for(country, kind)
    assert (limits.hour, limits.day, limits.month) == expected


def test_a_known_kind_fits_its_type_of_sender_and_an_own_word_fits_any() -> None:
    name, number = sender_id.parse("Sluice"), sender_id.parse("+33612345678")
    assert line_limits.fits("alphanumeric", name)
    assert not line_limits.fits("alphanumeric", number)
    assert not line_limits.fits("mobile", name)
    assert line_limits.fits("landline", number)
