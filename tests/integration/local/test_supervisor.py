"""The supervisor's patience with what keeps ending."""

from __future__ import annotations

from itertools import pairwise

from deploy.local import screen, supervisor


class Crasher:
    """Something that ends as soon as it was started."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.now = 0.0

    def start(self) -> None:
        self.starts.append(self.now)
        raise screen.Stop("ended at once")

    def ward(self) -> supervisor.Ward:
        return supervisor.Ward("crasher", lambda: True, self.start, started_at=0.0)


def watch(crasher: Crasher, ward: supervisor.Ward, until: int) -> None:
    for second in range(until):
        crasher.now = float(second)
        ward.look(crasher.now)


def test_pauses_double_up_to_half_a_minute_when_it_keeps_ending() -> None:
    crasher = Crasher()
    watch(crasher, crasher.ward(), until=130)

    pauses = [later - earlier for earlier, later in pairwise([0.0, *crasher.starts])]
    # Each end is noticed one look after the start before it.
    assert pauses == [1.0, 3.0, 5.0, 9.0, 17.0, 31.0, 31.0, 31.0]


def test_the_first_pause_returns_when_it_ran_for_a_minute() -> None:
    crasher = Crasher()
    ward = crasher.ward()
    watch(crasher, ward, until=36)
    assert ward.pause_seconds > 1.0

    long_after = crasher.starts[-1] + 61.0
    ward.look(long_after)
    assert ward.due_at == long_after + 1.0


def test_nothing_is_started_when_it_still_runs() -> None:
    crasher = Crasher()
    ward = supervisor.Ward("healthy", lambda: False, crasher.start, started_at=0.0)
    watch(crasher, ward, until=100)
    assert crasher.starts == []
