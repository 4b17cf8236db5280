"""What each kind of receipt proves."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.dlr import evidence
from shared.ledger import refunds
from shared.sms import receipts, states

MESSAGE = UUID(int=7)


@pytest.mark.parametrize(
    ("said", "state", "tells_the_producer"),
    [
        ("enroute", "submitted", False),
        ("delivered", "delivered", False),
        ("undelivered", "undelivered", True),
        ("expired", "expired", True),
        ("rejected", "rejected", True),
        ("unknown", "unknown", True),
    ],
)
def test_a_receipt_moves_its_segment_when_it_says_a_word(
    said: str, state: str, tells_the_producer: bool
) -> None:
    found = evidence.evidence_of(MESSAGE, 2, receipts.ReceiptState(said), "UNDELIV 001")

    assert (found.message_id, found.part) == (MESSAGE, 2)
    assert found.state is states.SegmentState(state)
    assert found.code == "UNDELIV 001"
    assert bool(found.reason) is tells_the_producer


@pytest.mark.parametrize("said", receipts.ReceiptState)
def test_no_receipt_makes_a_refund_due(said: receipts.ReceiptState) -> None:
    found = evidence.evidence_of(MESSAGE, 1, said, "")

    assert found.accepted
    assert not refunds.is_due(found.state, found.accepted)
    assert found.carrier_message_id is None
