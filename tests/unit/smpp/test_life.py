"""A peer lives as long as it says anything, and is asked before it is given up."""

from __future__ import annotations

from shared.smpp import life

TIMERS = life.Timers(enquire_seconds=30, enquire_response_seconds=10)


def test_a_talking_peer_is_left_alone_when_time_passes() -> None:
    pulse = life.Pulse(TIMERS, 0)

    for second in range(0, 300, 20):
        pulse.hear(second)
        assert pulse.judge(second + 19, suspicious=False) is life.Verdict.ALIVE


def test_a_silent_peer_is_asked_once_and_then_dead_when_it_says_nothing() -> None:
    pulse = life.Pulse(TIMERS, 0)

    assert pulse.judge(30, suspicious=False) is life.Verdict.ALIVE
    assert pulse.judge(31, suspicious=False) is life.Verdict.ASK
    assert pulse.judge(40, suspicious=False) is life.Verdict.ALIVE
    assert pulse.judge(42, suspicious=False) is life.Verdict.DEAD


def test_a_peer_is_alive_again_when_it_says_anything_after_being_asked() -> None:
    pulse = life.Pulse(TIMERS, 0)
    pulse.judge(31, suspicious=False)

    pulse.hear(35)

    assert pulse.judge(42, suspicious=False) is life.Verdict.ALIVE


def test_a_talking_peer_is_asked_when_it_owes_an_answer() -> None:
    pulse = life.Pulse(TIMERS, 0)

    assert pulse.judge(1, suspicious=True) is life.Verdict.ASK
    assert pulse.judge(2, suspicious=True) is life.Verdict.ALIVE


def test_nonsense_is_borne_when_it_is_spread_and_not_when_it_comes_at_once() -> None:
    nonsense = life.Nonsense(life.Timers(nonsense_seconds=60))
    week_seconds = 7 * 86_400

    spread = [
        nonsense.add(week * week_seconds + number) for week in range(10) for number in range(50)
    ]
    at_once = [nonsense.add(20 * week_seconds + number / 10) for number in range(101)]

    assert not any(spread)
    assert at_once == [False] * 100 + [True]
