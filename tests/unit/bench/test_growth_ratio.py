"""How a large Sluice is compared with a small one."""

from __future__ import annotations

from tests.bench.growth import command, outcome, visits
from tests.bench.growth.case import Size

_RATES = {"small": [1000.0, 500.0, 1000.0], "large": [950.0, 475.0, 400.0]}


def _side(rates: list[float]) -> outcome.Side:
    return outcome.Side(Size(0, 1, 1, 0), {}, {"single": rates}, 1.0, {}, {}, {}, {})


def test_a_machine_that_is_slow_for_a_while_is_slow_for_both() -> None:
    # given a second pair at half the speed, and a third whose later run alone met something else
    found = outcome.Outcome(*(_side(_RATES[name]) for name in ("small", "large")))
    # then it is the pairs that are compared, and the one that was disturbed decides nothing
    assert found.ratio("single") == 0.95


def test_neither_always_comes_first() -> None:
    firsts = [command._in_turn(["small", "large"], number)[0] for number in range(4)]
    assert firsts == ["small", "large", "small", "large"]


def test_of_several_passes_each_percentile_is_a_median() -> None:
    passes = [visits.Waits("newest", 1.0, 9.0), visits.Waits("newest", 3.0, 4.0)]
    assert visits.median([*passes, visits.Waits("newest", 2.0, 5.0)]) == visits.Waits(
        "newest", 2.0, 5.0
    )
