"""Which segment without an id a receipt can mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.dlr import doubts
from shared.db.matching import NAMELESS_COUNT_MAX, Nameless
from shared.sms.states import SegmentState

SUBMITTED = datetime(2026, 11, 22, 9, 30, 31, tzinfo=UTC)


def nameless(
    state: str = "in_doubt",
    *,
    known: bool = False,
    attempt_count: int = 1,
    submitted_at: datetime = SUBMITTED,
    message_id: UUID | None = None,
    part: int = 1,
) -> Nameless:
    return Nameless(message_id or uuid4(), part, state, submitted_at, attempt_count, known)


def date(**apart: float) -> datetime:
    """What a carrier writes that is so far from the submit, zone and all."""
    return SUBMITTED.replace(tzinfo=None, second=0) + timedelta(**apart)


@pytest.mark.parametrize("state", SegmentState)
def test_one_alone_is_meant_while_a_carrier_may_have_it_unknown_to_us(state: str) -> None:
    one = nameless(state)
    # A refusal that came late may be contradicted, whichever came first.
    open_states = {"in_doubt", "submitted", "unknown", "rejected"}

    assert doubts.meant([one], None) == ([one] if state in open_states else [])


@pytest.mark.parametrize(
    ("other", "is_rival"),
    [
        (nameless(), True),
        (nameless("unknown"), True),
        (nameless("queued"), True),
        (nameless("submitting", attempt_count=2), True),
        (nameless("delivered", known=True, attempt_count=2), True),
        (nameless("delivered", known=True), False),
        (nameless("rejected"), False),
        (nameless(submitted_at=SUBMITTED - timedelta(minutes=7)), False),
    ],
)
def test_two_that_fit_leave_both_alone(other: Nameless, is_rival: bool) -> None:
    one = nameless()

    found = doubts.meant([one, other], date())

    assert found == ([] if is_rival else [one])


def test_the_first_part_in_doubt_is_meant_when_a_whole_submit_is() -> None:
    name = uuid4()
    second, first = (nameless(message_id=name, part=part) for part in (2, 1))
    known = nameless("delivered", message_id=name, part=3, known=True)

    assert doubts.meant([second, known, first], date()) == [first, second]


def test_parts_of_two_submits_leave_both_alone() -> None:
    name = uuid4()
    first = nameless(message_id=name)
    again = nameless(message_id=name, part=2, submitted_at=SUBMITTED + timedelta(seconds=1))

    assert doubts.meant([first, again], date()) == []


def test_one_that_was_submitted_twice_is_meant_by_its_echo_alone() -> None:
    twice = nameless("submitted", known=True, attempt_count=2)

    assert doubts.meant([twice], date()) == []
    assert doubts.meant([twice], date(), echoed=True) == [twice]
    assert doubts.meant([twice, nameless()], date(), echoed=True) == []
    assert doubts.meant([nameless("submitted", known=True)], date(), echoed=True) == []


def test_nobody_is_meant_when_there_are_more_than_are_looked_at() -> None:
    old = SUBMITTED - timedelta(minutes=7)
    many = [nameless(submitted_at=old) for _ in range(NAMELESS_COUNT_MAX - 1)]

    assert doubts.meant([nameless(), *many], date()) == []


@pytest.mark.parametrize(
    ("apart", "fits"),
    [
        ({"hours": 0}, True),
        ({"minutes": 4}, True),
        ({"minutes": -4}, True),
        ({"minutes": 7}, False),
        ({"hours": 5, "minutes": 45}, True),
        ({"hours": -3, "minutes": -30}, True),
        ({"hours": 14}, True),
        ({"hours": 15}, False),
        ({"hours": 24}, False),
        ({"hours": -24}, False),
    ],
)
def test_a_date_fits_in_any_zone_of_the_earth(apart: dict[str, float], fits: bool) -> None:
    assert doubts.is_date_of(SUBMITTED, date(**apart)) is fits


def test_no_date_fits_any_submit() -> None:
    assert doubts.is_date_of(SUBMITTED, None)
