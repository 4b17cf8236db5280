"""What a carrier says about a segment, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class ReceiptState(StrEnum):
    """A carrier's word for a segment's fate, translated (SMPP 3.4 §5.2.28 message_state)."""

    ENROUTE = "enroute"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Receipt(NamedTuple):
    """One receipt, read.

    `carrier_message_id` is the id as the carrier writes it in its submit answer, normalised by the
    adapter; `code` is the carrier's own error or status word, kept for people.

    `phones` are the numbers it names, as `digits` writes them: none, or one of them is the
    recipient's. `reference` is `echo_of` the segment, where the carrier gives it back.
    `submit_date` is when the carrier took the segment, in a zone it does not name.
    `by_id_only`: whoever sent it did not prove to be the carrier, so it needs an id and a phone
    that fit, and ends no doubt. `reason` is what a producer may read of the code, a sentence of
    `causes`, where its meaning is known.
    """

    carrier_message_id: str
    state: ReceiptState
    code: str = ""
    phones: tuple[str, ...] = ()
    reference: int | None = None
    submit_date: datetime | None = None
    by_id_only: bool = False
    reason: str = ""

    def names(self, recipient: str) -> bool:
        """Whether this number, in E.164, may be the recipient's: it ends as one that is named, or
        none is named and the carrier is believed."""
        phones = self.phones
        return recipient.endswith(phones) if phones else not self.by_id_only


class Verdict(StrEnum):
    """What a carrier's answer to a submit came to."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_NOW = "not_now"


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """The answer to a submit, come after the submit had been given up as lost.

    It names the submit: the segment, and the time of its intent. `carrier_message_id` is set when
    it was accepted, `code` and `reason` when not.
    """

    message_id: UUID
    part: int
    submitted_at: datetime
    verdict: Verdict
    carrier_message_id: str = ""
    code: str = ""
    reason: str = ""


PHONE_DIGITS_MIN = 7
"""Fewer digits name no phone: a short code, or what is left of a masked number."""


def digits(address: str) -> str:
    """A carrier's spelling of a number, without the plus and the zeros it may begin with: the end,
    at least, of the E.164 number. Empty when it is no phone's number."""
    plain = address.removeprefix("+").lstrip("0")
    usable = plain.isascii() and plain.isdecimal() and PHONE_DIGITS_MIN <= len(plain) <= 15
    return plain if usable else ""


def echo_of(message_id: UUID, part: int) -> int:
    """The 16 bits by which a receipt may name its segment. The low bits of an id are random, and
    parts follow each other: two segments to one phone hardly ever share them."""
    return (message_id.int + part) & 0xFFFF
