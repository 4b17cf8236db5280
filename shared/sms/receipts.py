"""What a carrier says about a segment, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReceiptState(StrEnum):
    """A carrier's word for a segment's fate, translated (SMPP 3.4 §5.2.28 message_state)."""

    ENROUTE = "enroute"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt, read.

    `carrier_message_id` is the id as the carrier writes it in its submit answer, normalised by the
    adapter; `code` is the carrier's own error or status word, kept for people.
    """

    carrier_message_id: str
    state: ReceiptState
    code: str = ""
