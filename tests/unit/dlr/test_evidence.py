"""What each kind of receipt proves."""

from __future__ import annotations

from datetime import UTC, datetime
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


@pytest.mark.parametrize(
    ("verdict", "state", "is_refunded"),
    [("accepted", "submitted", False), ("refused", "rejected", True)],
)
def test_a_late_answer_moves_its_segment_and_refunds_what_was_refused(
    verdict: str, state: str, is_refunded: bool
) -> None:
    when = datetime(2026, 11, 22, tzinfo=UTC)
    late = receipts.LateAnswer(MESSAGE, 2, when, receipts.Verdict(verdict), "", "0x0B", "refused")

    found = evidence.evidence_of_answer(late)

    assert found is not None
    assert (found.message_id, found.part, found.submitted_at) == (MESSAGE, 2, when)
    assert found.state is states.SegmentState(state)
    assert found.carrier_message_id is None
    assert refunds.is_due(found.state, found.accepted) is is_refunded


def test_a_late_not_now_moves_nothing() -> None:
    when = datetime(2026, 11, 22, tzinfo=UTC)

    assert (
        evidence.evidence_of_answer(receipts.LateAnswer(MESSAGE, 1, when, receipts.Verdict.NOT_NOW))
        is None
    )
