"""Who is throttled alone is to blame itself; where all are, it is the pace."""

from __future__ import annotations

import random

from shared.carriers.blame import Blame


def test_who_is_throttled_alone_is_to_blame() -> None:
    blame = Blame(3)
    found = []
    for number in range(40):
        found.append(blame.throttled("poisoned"))
        blame.taken(f"good {number % 3}")
    assert found == [False] * 20 + [True] * 20
    # and is believed again once something of it is taken
    blame.taken("poisoned")
    assert not blame.throttled("poisoned")


def test_nobody_is_to_blame_while_all_are_throttled() -> None:
    blame = Blame(3)
    chance = random.Random(7)
    for _ in range(10_000):
        who = chance.randrange(20)
        if chance.random() < 0.5:
            assert not blame.throttled(who)
        else:
            blame.taken(who)


def test_nobody_is_to_blame_where_nothing_is_taken() -> None:
    blame = Blame(3)
    assert not any(blame.throttled(number % 5) for number in range(1_000))


def test_suspects_are_bounded() -> None:
    blame = Blame(3)
    for number in range(20_000):
        blame.throttled(number)
    assert len(blame.suspects) <= 10_000
