"""What a receipt, or an answer that came late, proves about its segment: two tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from shared.db import segments
from shared.sms import receipts, states


class Meaning(NamedTuple):
    """Where a receipt moves its segment, and what its producer may read about that."""

    state: states.SegmentState
    reason: str


MEANINGS: Mapping[receipts.ReceiptState, Meaning] = {
    receipts.ReceiptState.ENROUTE: Meaning(states.SegmentState.SUBMITTED, ""),
    receipts.ReceiptState.DELIVERED: Meaning(states.SegmentState.DELIVERED, ""),
    receipts.ReceiptState.UNDELIVERED: Meaning(
        states.SegmentState.UNDELIVERED, "the carrier could not deliver it"
    ),
    receipts.ReceiptState.EXPIRED: Meaning(
        states.SegmentState.EXPIRED, "the carrier could not deliver it in time"
    ),
    receipts.ReceiptState.REJECTED: Meaning(
        states.SegmentState.REJECTED, "the carrier took it and rejected it later"
    ),
    receipts.ReceiptState.UNKNOWN: Meaning(
        states.SegmentState.UNKNOWN, "the carrier does not know what became of it"
    ),
}
"""Every word a carrier may say, ours already."""

ANSWERS: Mapping[receipts.Verdict, states.SegmentState | None] = {
    receipts.Verdict.ACCEPTED: states.SegmentState.SUBMITTED,
    receipts.Verdict.REFUSED: states.SegmentState.REJECTED,
    # Proof that it was not taken, but no end: it stays in doubt, so that it may be submitted again
    # where that was asked for, and ends `unknown` and refunded where not.
    receipts.Verdict.NOT_NOW: None,
}
"""Where a late answer moves its segment."""


def evidence_of(
    message_id: UUID,
    part: int,
    state: receipts.ReceiptState,
    code: str,
    carrier_message_id: str | None = None,
    *,
    reason: str = "",
    alone: bool = False,
) -> segments.Evidence:
    """The evidence in a receipt. Whatever it says, it proves that the carrier took the segment, so
    nothing is refunded because of it (law 5). `carrier_message_id` is given where the segment's id
    was not known before, `reason` where the carrier's code says more than the state; `alone` as in
    `Evidence`."""
    moved_to, usual = MEANINGS[state]
    return segments.Evidence(
        message_id, part, moved_to, True, carrier_message_id, code, reason or usual, alone=alone
    )


def evidence_of_answer(late: receipts.LateAnswer) -> segments.Evidence | None:
    """The evidence in an answer that came late; None when it proves nothing that moves a segment.
    A refusal says nothing about a submit made since."""
    state = ANSWERS[late.verdict]
    if state is None:
        return None
    accepted = late.verdict is receipts.Verdict.ACCEPTED
    return segments.Evidence(
        late.message_id,
        late.part,
        state,
        accepted=accepted,
        carrier_message_id=late.carrier_message_id or None,
        code=late.code,
        reason=late.reason,
        submitted_at=late.submitted_at,
    )
