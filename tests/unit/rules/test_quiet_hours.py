"""When marketing leaves people alone: by their clocks, also where they change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.rules import quiet_hours, sender_countries
from shared.sms import time_zones

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"


@pytest.mark.parametrize(
    ("country", "zones", "moment", "until"),
    [
        # A Wednesday in winter: eight in New York is 13 UTC, and nine in the evening 02 UTC.
        ("US", (NEW_YORK,), "2030-01-02T12:59:59", "2030-01-02T13:00:00"),
        ("US", (NEW_YORK,), "2030-01-02T13:00:00", None),
        ("US", (NEW_YORK,), "2030-01-03T01:59:59", None),
        ("US", (NEW_YORK,), "2030-01-03T02:00:00", "2030-01-03T13:00:00"),
        # A number that may be in either: it must be open in both.
        ("US", (NEW_YORK, LOS_ANGELES), "2030-01-02T13:00:00", "2030-01-02T16:00:00"),
        ("US", (NEW_YORK, LOS_ANGELES), "2030-01-03T02:30:00", "2030-01-03T16:00:00"),
        # The night in which the clocks go forward: eight is an hour earlier.
        ("US", (NEW_YORK,), "2030-03-10T03:00:00", "2030-03-10T12:00:00"),
        # A Friday evening in Toronto, and the Saturday that begins at ten.
        ("CA", ("America/Toronto",), "2030-01-05T02:29:59", None),
        ("CA", ("America/Toronto",), "2030-01-05T02:30:00", "2030-01-05T15:00:00"),
        # From Saturday evening in Paris to Monday morning.
        ("FR", ("Europe/Paris",), "2030-01-05T21:00:00", "2030-01-07T07:00:00"),
        ("FR", ("Europe/Paris",), "2030-01-06T12:00:00", "2030-01-07T07:00:00"),
        ("GB", ("Europe/London",), "2030-01-06T03:00:00", None),
    ],
)
def test_the_first_moment_that_is_open(
    country: str, zones: tuple[str, ...], moment: str, until: str | None
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    found = quiet_hours.ends_at(country, zones, at)

    assert found == (until and datetime.fromisoformat(until).replace(tzinfo=UTC))
    if found is not None:
        assert quiet_hours.ends_at(country, zones, found) is None


@pytest.mark.parametrize("country", quiet_hours.OPEN)
def test_every_country_has_an_hour_that_is_open_in_all_of_its_zones(country: str) -> None:
    zones = {
        "US": (NEW_YORK, LOS_ANGELES, "Pacific/Honolulu", "America/Anchorage"),
        "CA": ("America/St_Johns", "America/Vancouver"),
    }.get(country, (time_zones.of_country(country),))
    for hour in range(24):
        quiet_hours.ends_at(country, zones, datetime(2030, 1, 5, hour, tzinfo=UTC))


def test_a_number_has_the_zones_it_may_be_in() -> None:
    assert time_zones.of_number("+12125550123", "US") == (NEW_YORK,)
    assert len(time_zones.of_number("+18005550123", "US")) > 3
    assert time_zones.of_number("+33612345678", "FR") == ("Europe/Paris",)


def test_names_are_no_senders_in_the_us_and_canada() -> None:
    assert not sender_countries.takes_names("US")
    assert not sender_countries.takes_names("CA")
    assert sender_countries.takes_names("FR")
