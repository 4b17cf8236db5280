"""A ticket opens the thing it was made for, until its time, and nothing else."""

from __future__ import annotations

import pytest

from shared.access import keys, tickets

OLD, NEW = "an old key of the platform that goes out", "c0ffee" * 10
KEYS = keys.Keys.read(NEW)
UNTIL = 1_900_000_000


def test_a_ticket_is_for_its_number_until_its_time() -> None:
    ticket = tickets.make(KEYS, "export", 42, UNTIL)
    assert tickets.read(KEYS, "export", ticket, UNTIL - 1) == 42
    assert tickets.read(KEYS, "export", ticket, UNTIL) is None


def test_a_ticket_of_another_kind_or_key_is_none() -> None:
    ticket = tickets.make(KEYS, "export", 42, UNTIL)
    assert tickets.read(KEYS, "invoice", ticket, 0) is None
    assert tickets.read(keys.Keys.read(OLD), "export", ticket, 0) is None


def test_a_ticket_outlives_the_change_of_keys() -> None:
    ticket = tickets.make(keys.Keys.read(OLD), "export", 42, UNTIL)
    assert tickets.read(keys.Keys.read(f"{NEW},{OLD}"), "export", ticket, 0) == 42


@pytest.mark.parametrize("place", range(3))
def test_nothing_of_a_ticket_may_be_changed(place: int) -> None:
    parts = tickets.make(KEYS, "export", 42, UNTIL).split(".")
    last = parts[place][-1]
    parts[place] = parts[place][:-1] + ("1" if last != "1" else "2")
    if place == 2:
        parts[place] = "A" * len(parts[place])
    assert tickets.read(KEYS, "export", ".".join(parts), 0) is None


@pytest.mark.parametrize(
    "text", ["", "42", "42.1.x", "0.1." + "A" * 43, "४२.1." + "A" * 43, "1" * 30 + ".1." + "A" * 43]
)
def test_what_is_no_ticket_is_none(text: str) -> None:
    assert tickets.read(KEYS, "export", text, 0) is None
