"""Every country has a time zone that the machine knows."""

from __future__ import annotations

import zoneinfo

import phonenumbers
import pytest

from shared.sms import time_zones


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_has_a_zone_that_is_in_use(country: str) -> None:
    zone = time_zones.of_country(country)
    assert zone in zoneinfo.available_timezones()
    assert zone != time_zones.UTC


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("FR", "Europe/Paris"),
        ("IE", "Europe/Dublin"),
        ("US", "America/New_York"),
        ("MA", "Africa/Casablanca"),
        ("001", "UTC"),
        ("ZZ", "UTC"),
    ],
)
def test_a_country_has_the_zone_of_its_capital(country: str, zone: str) -> None:
    assert time_zones.of_country(country) == zone
