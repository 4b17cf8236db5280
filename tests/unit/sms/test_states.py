"""The table of moves pair by pair, the roll-up, and that evidence converges whatever its order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sms import states

S = states.SegmentState

# x: allowed; a dot: refused. The diagonal stays where it is, and so is a dot too.
ALLOWED = """
             scheduled queued parked submitting in_doubt submitted unknown canceled failed rejected expired undelivered delivered
scheduled    .         x      x      x          .        .         .       x        x      .        x       .           .
queued       .         .      x      x          .        .         .       x        x      .        x       .           .
parked       .         x      .      x          .        .         .       x        x      .        x       .           .
submitting   .         x      .      .          x        x         x       x        x      x        x       x           x
in_doubt     .         x      .      .          .        x         x       .        .      x        x       x           x
submitted    .         .      .      .          .        .         x       .        .      x        x       x           x
unknown      .         .      .      .          .        .         .       .        .      x        x       x           x
canceled     .         .      .      .          .        .         .       .        .      .        .       .           .
failed       .         .      .      .          .        .         .       .        .      .        .       .           .
rejected     .         .      .      .          .        .         .       .        .      .        x       x           x
expired      .         .      .      .          .        .         .       .        .      .        .       x           x
undelivered  .         .      .      .          .        .         .       .        .      .        .       .           x
delivered    .         .      .      .          .        .         .       .        .      .        .       .           .
"""  # noqa: E501 - a table is read across


def _pairs() -> list[tuple[states.SegmentState, states.SegmentState, bool]]:
    heading, *rows = (line.split() for line in ALLOWED.strip().splitlines())
    return [
        (S(row[0]), S(column), mark == "x")
        for row in rows
        for column, mark in zip(heading, row[1:], strict=True)
    ]


def test_every_pair_of_states_stands_in_the_table() -> None:
    listed = [(current, evidence) for current, evidence, _ in _pairs()]

    assert len(listed) == len(set(listed)) == len(S) ** 2


@pytest.mark.parametrize(("current", "evidence", "allowed"), _pairs())
def test_a_segment_moves_only_when_the_table_allows_it(
    current: states.SegmentState, evidence: states.SegmentState, allowed: bool
) -> None:
    assert states.move(current, evidence) is (evidence if allowed else current)


def test_nothing_final_goes_back_to_something_open() -> None:
    for state in states.FINAL:
        assert states.MOVES[state] <= states.FINAL


@pytest.mark.parametrize(
    ("segments", "status"),
    [
        *(([state], "queued" if state is S.SUBMITTING else state.value) for state in S),
        ([S.DELIVERED, S.DELIVERED], "delivered"),
        ([S.DELIVERED, S.QUEUED], "queued"),
        ([S.PARKED, S.QUEUED], "parked"),
        ([S.SCHEDULED, S.SCHEDULED], "scheduled"),
        ([S.SUBMITTING, S.SUBMITTED], "queued"),
        ([S.SUBMITTING, S.IN_DOUBT], "queued"),
        ([S.IN_DOUBT, S.SUBMITTED], "in_doubt"),
        ([S.IN_DOUBT, S.UNDELIVERED], "in_doubt"),
        ([S.SUBMITTED, S.DELIVERED], "submitted"),
        ([S.SUBMITTED, S.REJECTED], "submitted"),
        ([S.REJECTED, S.UNDELIVERED, S.DELIVERED], "rejected"),
        ([S.FAILED, S.UNDELIVERED], "failed"),
        ([S.UNDELIVERED, S.EXPIRED, S.DELIVERED], "undelivered"),
        ([S.EXPIRED, S.UNKNOWN], "expired"),
        ([S.CANCELED, S.UNKNOWN], "canceled"),
        ([S.UNKNOWN, S.DELIVERED], "unknown"),
    ],
)
def test_the_message_says_what_its_segments_come_to(
    segments: Sequence[states.SegmentState], status: str
) -> None:
    assert states.status_of(segments) == status


def test_a_message_without_segments_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        states.status_of([])


@given(st.lists(st.sampled_from(S), min_size=1, max_size=5), st.randoms())
def test_the_message_says_the_same_when_its_segments_are_listed_in_another_order(
    segments: list[states.SegmentState], source: random.Random
) -> None:
    shuffled = sorted(segments, key=lambda _: source.random())

    assert states.status_of(shuffled) is states.status_of(segments)


ANSWERS = (S.SUBMITTED, S.IN_DOUBT)
"""What becomes known of a submit: taken, or lost; also lost first and answered late."""

RECEIPTS = (S.SUBMITTED, S.DELIVERED, S.UNDELIVERED, S.EXPIRED, S.REJECTED, S.UNKNOWN)
"""Where receipts of all kinds move a segment; the deadline says `unknown` too."""


def _subsets(
    items: Sequence[states.SegmentState],
) -> Iterable[tuple[states.SegmentState, ...]]:
    return chain.from_iterable(combinations(items, count) for count in range(len(items) + 1))


EVIDENCE = sorted(
    {frozenset(a + r) for a in _subsets(ANSWERS) for r in _subsets(RECEIPTS)}, key=sorted
)


def _ends(evidence: frozenset[states.SegmentState]) -> set[states.SegmentState]:
    """Every state in which all this evidence can leave a segment, over all orders and any number
    of repetitions: a walk over (what was seen, where it stands) until nothing new comes."""
    start = (frozenset[states.SegmentState](), S.SUBMITTING)
    reached, open_ends = {start}, [start]
    while open_ends:
        seen, state = open_ends.pop()
        for item in evidence:
            after = (seen | {item}, states.move(state, item))
            if after not in reached:
                reached.add(after)
                open_ends.append(after)
    return {state for seen, state in reached if seen == evidence}


def test_evidence_ends_in_the_same_state_whatever_its_order_and_repetition() -> None:
    for evidence in EVIDENCE:
        assert len(_ends(evidence)) == 1, sorted(evidence)


@pytest.mark.parametrize(
    ("evidence", "end"),
    [
        ({S.SUBMITTED, S.DELIVERED}, S.DELIVERED),
        ({S.IN_DOUBT, S.SUBMITTED}, S.SUBMITTED),
        ({S.IN_DOUBT, S.UNKNOWN}, S.UNKNOWN),
        ({S.UNKNOWN, S.SUBMITTED}, S.UNKNOWN),
        ({S.UNDELIVERED, S.DELIVERED, S.SUBMITTED}, S.DELIVERED),
        ({S.REJECTED, S.EXPIRED}, S.EXPIRED),
        ({S.EXPIRED, S.UNDELIVERED}, S.UNDELIVERED),
        ({S.IN_DOUBT, *RECEIPTS}, S.DELIVERED),
    ],
)
def test_contradicting_evidence_ends_in_the_strongest_word(
    evidence: set[states.SegmentState], end: states.SegmentState
) -> None:
    assert _ends(frozenset(evidence)) == {end}


def test_what_a_carrier_can_say_leads_up_one_row() -> None:
    row = (S.IN_DOUBT, S.SUBMITTED, S.UNKNOWN, S.REJECTED, S.EXPIRED, S.UNDELIVERED, S.DELIVERED)

    for place, state in enumerate(row):
        assert states.MOVES[state] - {S.QUEUED} == set(row[place + 1 :])


def test_what_waits_is_what_may_be_submitted() -> None:
    assert {S.SCHEDULED, S.QUEUED, S.PARKED} == states.WAITING


def test_what_may_be_submitted_is_all_from_which_a_submit_can_be_reached() -> None:
    # Given every state from which some road leads to a submit
    reaching = {S.SUBMITTING}
    while more := {s for s, nexts in states.MOVES.items() if nexts & reaching} - reaching:
        reaching |= more

    # Then those are what may be submitted, and any of them in a message is its status
    assert reaching == states.TO_SUBMIT
    assert set(states.ROLL_UP[: len(reaching)]) == reaching
