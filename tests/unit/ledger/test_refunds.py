"""The rule of refunds over every state, accepted and not."""

from __future__ import annotations

import pytest

from shared.ledger import refunds
from shared.sms import states
from shared.sms.states import SegmentState

DUE = {
    SegmentState.SCHEDULED: False,
    SegmentState.QUEUED: False,
    SegmentState.PARKED: False,
    SegmentState.SUBMITTING: False,
    SegmentState.IN_DOUBT: False,
    SegmentState.SUBMITTED: False,
    SegmentState.UNKNOWN: True,
    SegmentState.CANCELED: True,
    SegmentState.FAILED: True,
    SegmentState.REJECTED: True,
    SegmentState.EXPIRED: True,
    SegmentState.UNDELIVERED: False,
    SegmentState.DELIVERED: False,
}
"""What becomes of the money of a segment that no carrier took."""


@pytest.mark.parametrize("state", SegmentState)
def test_money_is_given_back_only_for_an_end_that_no_carrier_had_a_part_in(
    state: SegmentState,
) -> None:
    assert refunds.is_due(state, accepted=False) is DUE[state]
    assert refunds.is_due(state, accepted=True) is False


def test_every_end_is_refunded_but_those_only_a_carrier_can_bring_about() -> None:
    kept = {SegmentState.DELIVERED, SegmentState.UNDELIVERED}
    assert states.FINAL - kept == refunds.ENDED_UNSENT
