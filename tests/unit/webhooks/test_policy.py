"""When a webhook is tried again, paused, disabled, and when an event is given up: by times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhooks import policy
from services.webhooks.policy import Attempt, Standing

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def attempt(
    status: int,
    *,
    try_count: int = 1,
    first: datetime = NOW,
    at: datetime = NOW,
    retry_after: str = "",
) -> Attempt:
    """One request that had this answer."""
    return Attempt(
        1, try_count, first, at, status, "answered" if status else "too_slow", retry_after
    )


@given(chance=st.floats(0, 1))
def test_an_event_is_tried_for_three_days_with_growing_delays(chance: float) -> None:
    # Given an event that fails at each try of a webhook that takes others
    at, count, delays = NOW, 1, []
    others = Standing()
    while not policy.is_given_up(one := attempt(500, try_count=count, at=at), others):
        delays.append(policy.delay_seconds(one, at, lambda: chance))
        at, count = at + timedelta(seconds=delays[-1]), count + 1

    # Then it is tried over 75 hours and more, ever less often, and then no more
    assert at - NOW >= timedelta(hours=75)
    assert at - NOW <= timedelta(hours=90)
    assert delays == sorted(delays)
    assert delays[0] < 6.1
    assert 15 <= count <= 25


def test_no_event_is_given_up_while_its_webhook_takes_none() -> None:
    # Given an event that was tried for days
    one = attempt(500, try_count=30, at=NOW + 100 * HOUR)

    # Then it is at fault only if others were taken meanwhile
    for since, is_given_up in ((None, True), (NOW + HOUR, True), (NOW, False), (NOW - HOUR, False)):
        assert policy.is_given_up(one, Standing(3, since)) is is_given_up


@given(st.lists(st.sampled_from([200, 204, 301, 400, 404, 500, 503, 0]), max_size=30))
def test_a_webhook_that_fails_in_a_row_is_probed_until_it_takes_one(statuses: list[int]) -> None:
    stands = policy.standing_after(Standing(), [attempt(each) for each in statuses], NOW)
    in_a_row = 0
    for status in statuses:
        in_a_row = 0 if status in (200, 204) else in_a_row + 1
    assert stands.failure_count == min(in_a_row, policy.PROBE_COUNT)
    assert stands.is_probed == (in_a_row >= policy.PROBE_COUNT) == (stands.pause_seconds > 0)
    assert (stands.failing_since is None) == (in_a_row == 0)
    assert stands.disabled_for == ""


def test_pauses_grow_to_a_quarter_of_an_hour() -> None:
    pauses = [
        policy.standing_after(Standing(count, NOW), [attempt(0)], NOW, lambda: 0.5).pause_seconds
        for count in range(4, 20)
    ]
    assert pauses[:3] == [5, 10, 20]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 900


def test_failures_that_were_under_way_together_begin_the_first_pause_and_no_longer_one() -> None:
    # Given a webhook that took all it was told, When a dozen requests to it fail at the same time
    stands = policy.standing_after(Standing(), [attempt(0)] * 12, NOW, lambda: 0.5)
    # Then it is probed after the first pause
    assert stands.is_probed
    assert stands.pause_seconds == policy.FIRST_PAUSE_SECONDS
    # And the pause grows with each probe
    again = policy.standing_after(stands, [attempt(0)], NOW, lambda: 0.5)
    assert again.pause_seconds == 2 * policy.FIRST_PAUSE_SECONDS


def test_gone_disables_at_once_and_failing_after_five_days() -> None:
    assert policy.standing_after(Standing(), [attempt(410)], NOW).disabled_for == "gone"
    for hours, reason in ((119, ""), (121, "failing")):
        before = Standing(50, NOW - hours * HOUR)
        assert policy.standing_after(before, [attempt(0)], NOW).disabled_for == reason
        assert policy.standing_after(before, [attempt(200)], NOW).disabled_for == ""


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("Thu, 31 Jan 2030 12:01:00 GMT", 60),
        ("Thu, 31 Jan 2030 11:00:00 GMT", 0),
        ("99999999999999999999", 24 * 3600),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("１２", 0),
    ],
)
def test_a_receivers_wish_is_heeded_up_to_a_day(said: str, seconds: float) -> None:
    assert policy.wish_seconds(attempt(503, retry_after=said), NOW) == seconds
    assert policy.wish_seconds(attempt(200, retry_after=said), NOW) == 0
    one = attempt(429, retry_after=said)
    assert policy.delay_seconds(one, NOW, lambda: 0.5) == max(seconds, 5)
    assert policy.standing_after(Standing(), [one], NOW).pause_seconds == seconds
