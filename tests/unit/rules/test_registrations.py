"""A registration lets a line send on the days it is good for, and only once it is approved (A3)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from shared.rules.line_kinds import LineKind
from shared.rules.registrations import (
    Registration,
    RegistrationKind,
    RegistrationState,
    kind_for,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize("state", RegistrationState)
def test_a03_only_an_approved_registration_holds(state: RegistrationState) -> None:
    assert Registration(state).holds_at(NOON) is (state is RegistrationState.APPROVED)


@pytest.mark.parametrize(
    ("from_", "until", "holds"),
    [
        (None, None, True),
        (date(2026, 3, 10), date(2026, 3, 10), True),
        (date(2026, 3, 11), None, False),
        (None, date(2026, 3, 9), False),
    ],
)
def test_a03_a_registration_holds_from_its_first_to_its_last_day(
    from_: date | None, until: date | None, holds: bool
) -> None:
    registration = Registration(RegistrationState.APPROVED, from_=from_, until=until)
    assert registration.holds_at(NOON) is holds


def test_a_registrations_days_are_those_of_utc() -> None:
    # Given a clock in the east, where the next day has begun
    registration = Registration(RegistrationState.APPROVED, until=NOON.date())
    morning = datetime(2026, 3, 11, 1, tzinfo=timezone(timedelta(hours=9)))
    assert registration.holds_at(morning)


def test_long_codes_and_toll_free_lines_are_registered_each_in_their_place() -> None:
    assert {kind: kind_for(kind) for kind in LineKind if kind_for(kind)} == {
        LineKind.LONG_CODE: RegistrationKind.TEN_DLC,
        LineKind.TOLL_FREE: RegistrationKind.TOLL_FREE,
    }
