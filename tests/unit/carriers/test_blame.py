"""Who is throttled alone is to blame itself; where all are, it is the pace."""

from __future__ import annotations

import random
from collections import Counter

from shared.carriers.blame import FEW_COUNT, Blame, Culprit


def test_who_is_throttled_alone_is_to_blame() -> None:
    blame = Blame(3)
    found = []
    for number in range(20):
        found.append(blame.throttled("poisoned"))
        blame.taken(f"good {number % 3}")
    unclear = FEW_COUNT - 1
    wanted = [Culprit.PACE, *[Culprit.UNCLEAR] * unclear, *[Culprit.ITSELF] * (19 - unclear)]
    assert found == wanted
    # and is believed again once something of it is taken
    blame.taken("poisoned")
    assert blame.throttled("poisoned") is Culprit.PACE


def test_hardly_anybody_is_to_blame_while_all_are_throttled() -> None:
    blame = Blame(3)
    chance = random.Random(7)
    found: Counter[Culprit] = Counter()
    for _ in range(20_000):
        who = chance.randrange(20)
        if chance.random() < 0.5:
            found[blame.throttled(who)] += 1
        else:
            blame.taken(who)
    assert found[Culprit.ITSELF] <= 0.005 * found.total()
    assert found[Culprit.PACE] >= 0.8 * found.total()


def test_nobody_is_to_blame_where_nothing_is_taken() -> None:
    blame = Blame(3)
    assert {blame.throttled(number % 5) for number in range(1_000)} == {Culprit.PACE}


def test_who_sends_alone_is_never_to_blame() -> None:
    blame = Blame(3)
    for number in range(1_000):
        assert blame.throttled("alone") is Culprit.PACE
        if number % 4 == 0:
            blame.taken("alone")


def test_suspects_are_bounded() -> None:
    blame = Blame(3)
    for number in range(20_000):
        blame.throttled(number)
    assert len(blame.suspects) <= 10_000
