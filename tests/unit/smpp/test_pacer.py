"""A bind finds its carrier's rate and its window, in simulated time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from shared.smpp import breadth, pacer

STEP_SECONDS = 0.001


@dataclass
class Limit:
    """A carrier that takes so many requests a second, saved up for at most `burst_seconds`."""

    rate: float
    burst_seconds: float
    tokens: float = 0.0
    at: float = 0.0

    def takes(self, now: float) -> bool:
        most = max(1.0, self.rate * self.burst_seconds)
        self.tokens = min(most, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Course:
    """What became of the requests, a count for each second."""

    taken: dict[int, int] = field(default_factory=dict)
    throttled: dict[int, int] = field(default_factory=dict)

    def rate(self, first: int, last: int) -> float:
        return sum(self.taken.get(each, 0) for each in range(first, last)) / (last - first)

    def share(self, first: int, last: int) -> float:
        bad = sum(self.throttled.get(each, 0) for each in range(first, last))
        return bad / max(1.0, bad + self.rate(first, last) * (last - first))


def drive(
    limit: Limit,
    seconds: float,
    *,
    window: int = 50,
    trip_seconds: float = 0.04,
    change: Callable[[float, Limit], None] = lambda _now, _limit: None,
) -> Course:
    """Ask as fast as the pace and the window let."""
    course, pace = Course(), None
    answers: list[tuple[float, float, bool]] = []
    now, held_until = 0.0, 0.0
    while now < seconds:
        now += STEP_SECONDS
        change(now, limit)
        while answers and answers[0][0] <= now:
            _, written_at, taken = heapq.heappop(answers)
            if taken:
                if pace is not None and not pace.taken(now):
                    pace = None
                counts = course.taken
            else:
                if pace is None:
                    pace = pacer.Pacer(0.7 * (len(answers) + 1) / trip_seconds, now)
                if hold := pace.throttled(now, written_at):
                    held_until = now + hold
                counts = course.throttled
            counts[int(now)] = counts.get(int(now), 0) + 1
        if now < held_until:
            continue
        wanted = window - len(answers)
        if pace is not None and wanted > 0:
            wanted = pace.allowance(now, wanted, len(answers))
        for _ in range(wanted):
            taken = limit.takes(now + trip_seconds / 2)
            heapq.heappush(answers, (now + trip_seconds, now, taken))
    return course


@pytest.mark.parametrize("burst_seconds", [0.02, 0.25, 1.0])
@pytest.mark.parametrize("rate", [60.0, 400.0, 1_000.0])
def test_it_holds_close_to_a_hidden_limit(rate: float, burst_seconds: float) -> None:
    course = drive(Limit(rate, burst_seconds), 40)
    assert course.rate(10, 40) >= 0.9 * rate
    assert course.share(10, 40) <= 0.01


@pytest.mark.parametrize(("before", "after"), [(800.0, 200.0), (200.0, 800.0), (400.0, 450.0)])
@pytest.mark.parametrize("burst_seconds", [0.02, 1.0])
def test_it_follows_a_change_within_ten_seconds(
    before: float, after: float, burst_seconds: float
) -> None:
    def change(now: float, limit: Limit) -> None:
        limit.rate = before if now < 15 else after

    course = drive(Limit(before, burst_seconds), 45, change=change)
    assert course.rate(25, 45) >= 0.9 * after
    assert course.share(25, 45) <= 0.01


def test_a_carrier_that_takes_nothing_is_tried_ever_more_rarely() -> None:
    course = drive(Limit(0.0, 0.0, tokens=-math.inf), 60)
    assert 0 < sum(course.throttled.get(second, 0) for second in range(30, 60)) <= 2 * 7


def test_without_a_limit_the_window_is_all_there_is() -> None:
    course = drive(Limit(math.inf, 1.0, tokens=math.inf), 3)
    assert course.rate(1, 3) == pytest.approx(50 / 0.04, rel=0.05)


def grown(size: breadth.Breadth, seconds: float, trip: Callable[[int], float]) -> list[int]:
    """The sizes a window has while it is full, a round trip after the other."""
    now, sizes = 0.0, []
    while now < seconds:
        count, written_at = size.size, now
        now += trip(count)
        for _ in range(count):
            size.answered(now, written_at, full=True)
        sizes.append(size.size)
    return sizes


def test_a_window_grows_to_its_most_while_answers_stay_quick() -> None:
    sizes = grown(breadth.Breadth(4, 100), 1, lambda _count: 0.04)
    assert sizes[:3] == [8, 16, 32]
    assert sizes[-1] == 100


def test_a_window_is_cut_where_answers_queue_and_stays_wide_enough() -> None:
    # given a carrier that works off 500 a second, 40 ms away
    sizes = grown(breadth.Breadth(4, 1_000), 30, lambda count: max(0.04, count / 500))
    # then it keeps all of that busy, and does not queue for long
    settled = sizes[len(sizes) // 2 :]
    assert min(settled) >= 0.9 * 20
    assert max(settled) <= 3 * 20


def test_a_window_is_cut_once_for_what_one_burst_says() -> None:
    size = breadth.Breadth(4, 100)
    grown(size, 1, lambda _count: 0.04)
    for _ in range(20):
        size.cut(2.0, 1.9)
    assert size.size == 70


def test_two_that_are_asked_just_as_a_hold_ends_are_heard() -> None:
    # Given a carrier that takes nothing, and a clock that goes by milliseconds
    pace, now = pacer.Pacer(100.0, 0.0), 1.003
    assert pace.throttled(now, 1.0) == pacer.HOLD_SECONDS_MIN
    # When two are asked as the hold ends, and are not taken either, then the next is longer
    asked_at = math.floor((now + pacer.HOLD_SECONDS_MIN) * 1000) / 1000
    assert pace.throttled(asked_at + 0.001, asked_at) == 2 * pacer.HOLD_SECONDS_MIN
