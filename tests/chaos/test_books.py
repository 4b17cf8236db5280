"""The checker itself: each fault it exists for is planted once and must be found by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos import books
from tests.chaos.books import Part, Stored, Submit, Wish

TEXT = "five parcels wait at the door"


def wish(recipient: str = "+33600000100", message_id: str | None = "m1") -> Wish:
    return Wish("k1", recipient, TEXT, "Line", message_id=message_id)


def stored(part: Part, message_id: str = "m1", recipient: str = "+33600000100") -> Stored:
    return Stored(message_id, recipient, {1: part})


def submit(at_ms: float = 0.0, recipient: str = "+33600000100", whole: str = TEXT) -> Submit:
    return Submit(at_ms, "Line", recipient, 1, 1, whole)


DELIVERED = Part("delivered", accepted=True)


def unkept() -> Wish:
    """A wish whose text is not to be kept."""
    return replace(wish(), store_body=False)


def text_of(part: Part, *, is_stored: bool = False, is_sealed: bool = False) -> Stored:
    return replace(stored(part), is_stored=is_stored, is_sealed=is_sealed)


@pytest.mark.parametrize(
    ("part", "is_sealed"), [(Part("parked"), True), (Part("expired", refund_count=1), False)]
)
def test_books_agree_when_a_text_is_sealed_just_as_long_as_it_is_needed(
    part: Part, is_sealed: bool
) -> None:
    assert books.compare([unkept()], [text_of(part, is_sealed=is_sealed)], [], {}).faults == {}


def test_books_agree_when_a_message_was_acknowledged_stored_and_submitted_once() -> None:
    verdict = books.compare([wish()], [stored(DELIVERED)], [submit()], {"Line": 1})
    assert verdict.faults == {}
    assert (verdict.acknowledged_count, verdict.journalled_count) == (1, 1)


@pytest.mark.parametrize(
    "part",
    [
        Part("parked"),
        Part("in_doubt"),
        Part("expired", refund_count=1),
        Part("rejected", refund_count=1),
    ],
    ids=lambda part: part.state,
)
def test_books_agree_when_an_unsent_message_waits_visibly_or_was_refunded(part: Part) -> None:
    assert books.compare([wish()], [stored(part)], [], {}).faults == {}


def test_an_unanswered_wish_is_recovered_when_it_was_stored_after_all() -> None:
    verdict = books.compare([wish(message_id=None)], [stored(DELIVERED)], [submit()], {})
    assert verdict.faults == {}
    assert (verdict.unanswered_count, verdict.recovered_count) == (1, 1)


def refused() -> Wish:
    return Wish("k1", "+33600000100", TEXT, "Line", refusal="insufficient_funds")


PLANTED = {
    "acknowledged and nowhere": ("lost", [wish()], [], []),
    "acknowledged under another id": (
        "lost", [wish()], [stored(DELIVERED, "m2")], [submit()]
    ),
    "said to be delivered, unknown to the carrier": ("lost", [wish()], [stored(DELIVERED)], []),
    "never leaves the queue": ("lost", [wish()], [stored(Part("queued"))], []),
    "never gets its answer recorded": (
        "lost", [wish()], [stored(Part("submitting"))], [submit()]
    ),
    "submitted twice": ("duplicated", [wish()], [stored(DELIVERED)], [submit(), submit(9.0)]),
    "submitted though refused": ("unexpected", [refused()], [], [submit()]),
    "stored though refused": ("unexpected", [refused()], [stored(DELIVERED)], [submit()]),
    "submitted, and nobody asked": ("unexpected", [], [], [submit()]),
    "stored, and nobody asked": ("unexpected", [], [stored(DELIVERED)], []),
    "submitted, and not in the database": (
        "unexpected", [wish(message_id=None)], [], [submit()]
    ),
    "another text": ("unexpected", [wish()], [stored(DELIVERED)], [submit(whole="five parcel")]),
    "kept, and was not to be": (
        "kept_wrongly", [unkept()], [text_of(DELIVERED, is_stored=True)], [submit()]
    ),
    "its sealed text outlives it": (
        "kept_wrongly", [unkept()], [text_of(DELIVERED, is_sealed=True)], [submit()]
    ),
    "its text is gone before it": ("kept_wrongly", [unkept()], [text_of(Part("parked"))], []),
    "gone, and was to be kept": ("kept_wrongly", [wish()], [text_of(DELIVERED)], [submit()]),
    "one key, two messages": (
        "debited_twice", [wish()], [stored(DELIVERED), stored(DELIVERED, "m2")], [submit()]
    ),
    "one segment, two debits": (
        "debited_twice", [wish()], [stored(Part("delivered", True, debit_count=2))], [submit()]
    ),
    "sent for nothing": (
        "unpaid", [wish()], [stored(Part("delivered", True, debit_count=0))], [submit()]
    ),
    "refunded though submitted": (
        "refunded_wrongly", [wish()], [stored(Part("expired", refund_count=1))], [submit()]
    ),
    "refunded though delivered": (
        "refunded_wrongly", [wish()], [stored(Part("delivered", True, 1, 1))], [submit()]
    ),
    "refunded twice": (
        "refunded_wrongly", [wish()], [stored(Part("expired", refund_count=2))], []
    ),
    "kept though never sent": ("refunded_wrongly", [wish()], [stored(Part("expired"))], []),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_the_checker_finds_a_fault_when_it_is_planted(name: str) -> None:
    kind, wishes, messages, journal = PLANTED[name]
    faults = books.compare(wishes, messages, journal, {}).faults
    assert kind in faults


def test_a_second_submit_is_allowed_when_the_producer_asked_for_at_least_once() -> None:
    asked = wish()
    asked.at_least_once = True
    verdict = books.compare([asked], [stored(DELIVERED)], [submit(), submit(9.0)], {})
    assert verdict.faults == {}


def test_a_missing_part_is_lost_when_the_others_were_submitted() -> None:
    message = Stored("m1", "+33600000100", {1: DELIVERED, 2: DELIVERED})
    first = Submit(0.0, "Line", "+33600000100", 1, 2, None)
    assert books.compare([wish()], [message], [first], {}).faults == {
        "lost": ["k1/2: delivered, not submitted"]
    }


def test_the_checker_finds_a_line_over_its_limit_when_only_a_rolling_hour_is() -> None:
    # Given three submits: two in each clock hour at most, three within sixty minutes.
    times = [books.HOUR_MS - 2.0, books.HOUR_MS - 1.0, books.HOUR_MS + 1.0]
    wishes = [wish(f"+3360000020{n}", f"m{n}") for n in range(3)]
    messages = [stored(DELIVERED, f"m{n}", f"+3360000020{n}") for n in range(3)]
    journal = [submit(at, f"+3360000020{n}") for n, at in enumerate(times)]
    # Then a limit of two is broken, and one of three is not.
    assert "over_limit" in books.compare(wishes, messages, journal, {"Line": 2}).faults
    assert books.compare(wishes, messages, journal, {"Line": 3}).faults == {}


@pytest.mark.parametrize(
    ("times", "most"), [([], 0), ([5.0], 1), ([0.0, 9.9], 2), ([0.0, 10.0], 1), ([3, 1, 2], 3)]
)
def test_the_busiest_window_excludes_what_is_a_whole_window_old(
    times: list[float], most: int
) -> None:
    assert books.busiest(times, 10.0) == most
