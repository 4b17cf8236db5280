"""How guessing tokens is held down."""

from __future__ import annotations

from services.ingest.web import auth


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def _fail(failures: auth.Failures, address: str, times: int) -> None:
    for _ in range(times):
        failures.add(address)


def test_an_address_is_blocked_until_the_minute_ends_when_it_fails_too_often() -> None:
    clock = _Clock()
    failures = auth.Failures(clock)
    _fail(failures, "a", auth.FAILURE_COUNT_MAX - 1)
    assert failures.blocked_seconds("a") == 0
    clock.seconds += 20
    failures.add("a")
    assert failures.blocked_seconds("a") == 40
    assert failures.blocked_seconds("b") == 0
    clock.seconds += 40
    assert failures.blocked_seconds("a") == 0
    failures.add("a")
    assert failures.blocked_seconds("a") == 0


def test_the_oldest_address_makes_room_when_there_are_too_many() -> None:
    failures = auth.Failures(_Clock())
    _fail(failures, "first", auth.FAILURE_COUNT_MAX)
    for number in range(auth.ADDRESS_COUNT_MAX - 1):
        failures.add(str(number))
    assert failures.blocked_seconds("first") > 0
    failures.add("one more")
    assert failures.blocked_seconds("first") == 0
