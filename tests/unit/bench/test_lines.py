"""Others beside a long queue: what is divided by what, and what is called noise."""

from __future__ import annotations

import random

from tests.bench.lines.others import PIECE_COUNT, TURNS, PieceCost, Side, Waits
from tests.bench.lines.outcome import Outcome


def _waits(without: list[float], beside: list[float]) -> Waits:
    """Blocks that wait about so many ms at p99, in their order."""
    chance = random.Random(5)
    found = Waits()
    sides: tuple[tuple[Side, list[float]], ...] = (("without", without), ("beside", beside))
    for side, blocks in sides:
        for high in blocks:
            for _ in range(PIECE_COUNT):
                piece = [chance.uniform(0, high) for _ in range(1_000)]
                found.add(side, piece, PieceCost(cpu_seconds=1.0, outside_share=0.01))
    return found


def test_without_and_beside_stand_at_the_same_mean_time() -> None:
    places = {side: [n for n, each in enumerate(TURNS * 2) if each == side] for side in TURNS}
    assert sum(places["without"]) == sum(places["beside"])
    assert len(places["without"]) == len(places["beside"])


def test_a_queue_that_others_notice_is_missed_and_one_they_do_not_is_met() -> None:
    for beside_ms, kept in ((10.0, True), (13.0, False)):
        waits = _waits([10.0] * 4, [beside_ms] * 4)
        low, high = waits.interval
        assert low <= waits.ratio <= high
        assert abs(waits.ratio - beside_ms / 10) < 0.05
        found = Outcome()
        found.add_others(100_000, waits)
        assert found.kept is kept


def test_noise_is_what_differs_between_blocks_without_the_queue() -> None:
    assert abs(_waits([10, 10, 10, 10], [10] * 4).noise - 1) < 0.05
    assert abs(_waits([10, 13, 13, 10], [10] * 4).noise - 1.3) < 0.08
