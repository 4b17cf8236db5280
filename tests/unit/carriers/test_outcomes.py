"""What follows from an outcome keeps the laws, whatever a line of the table is changed to."""

from __future__ import annotations

import pytest

from shared.carriers import outcomes
from shared.carriers.outcomes import DECISIONS, Fault, OutcomeKind, Retry, Sent


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_every_outcome_is_decided(kind: OutcomeKind) -> None:
    decided = DECISIONS[kind]

    final = decided.sent is Sent.NO and decided.retry is Retry.NEVER
    assert decided.refund == final
    assert (decided.sent is Sent.YES) == (decided.fault is Fault.NOBODY) == (not decided.reason)


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_nothing_goes_out_twice_on_a_guess(kind: OutcomeKind) -> None:
    again = {
        Sent.YES: {Retry.NEVER},
        Sent.NO: set(Retry) - {Retry.AT_LEAST_ONCE},
        Sent.UNKNOWN: {Retry.NEVER, Retry.AT_LEAST_ONCE},
    }
    assert DECISIONS[kind].retry in again[DECISIONS[kind].sent]


@pytest.mark.parametrize("ready_made", [outcomes.UNAVAILABLE, outcomes.LOST])
def test_a_ready_made_outcome_says_what_the_table_says(ready_made: outcomes.Outcome) -> None:
    assert ready_made.reason == DECISIONS[ready_made.kind].reason
