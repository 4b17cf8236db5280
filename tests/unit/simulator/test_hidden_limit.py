"""The hidden limit lets through what its tide allows, and not more."""

from __future__ import annotations

from services.simulator import hidden_limit


def test_a_flood_gets_what_the_limit_allows_at_its_high_and_at_its_low_tide() -> None:
    limit = hidden_limit.HiddenLimit(10, 100, 60)
    # Given ten thousand submits a second for a minute
    taken = [0] * 60
    for number in range(60 * 10_000):
        taken[number // 10_000] += limit.take(1_000 + number / 10_000)
    # Then each second holds what the tide is then, and it turns in the middle
    assert 95 <= taken[0] <= 121
    assert 9 <= taken[30] <= 11
    assert 95 <= taken[59] <= 101
    assert abs(sum(taken) - 60 * 55) < 60 * 55 * 0.02


def test_what_was_not_used_is_lost() -> None:
    limit = hidden_limit.HiddenLimit(10, 10, 60)
    assert limit.take(0.0)
    assert sum(limit.take(30.0) for _ in range(100)) == 2
