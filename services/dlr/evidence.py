"""What a receipt proves about its segment: one table."""

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


def evidence_of(
    message_id: UUID, part: int, state: receipts.ReceiptState, code: str
) -> segments.Evidence:
    """The evidence in a receipt. Whatever it says, it proves that the carrier took the segment, so
    nothing is refunded because of it (law 5)."""
    meaning = MEANINGS[state]
    return segments.Evidence(
        message_id, part, meaning.state, accepted=True, code=code, reason=meaning.reason
    )
