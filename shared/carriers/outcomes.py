"""The closed vocabulary of what handing a segment to a carrier can come to (law 7)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class OutcomeKind(StrEnum):
    """What is known after trying to submit one segment; what follows from it is in DECISIONS.

    THROTTLED and HALTED are about the link, which pauses: for a moment, or until our account there
    is mended. DEFERRED is about one phone and ELSEWHERE about one carrier: the link goes on.
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    DEFERRED = "deferred"
    ELSEWHERE = "elsewhere"
    HALTED = "halted"
    UNAVAILABLE = "unavailable"
    LOST = "lost"


class Sent(StrEnum):
    """Whether the carrier has taken the segment."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """When the same segment may be submitted once more."""

    NEVER = "never"
    WHEN_ASKED_FOR = "when the carrier asked for it, or after a while"
    WHEN_REACHED = "ever later, a stated number of times"
    BY_ANOTHER = "over another route; where there is none, never"
    WHEN_MENDED = "when the carrier lets us in again"
    WHEN_BACK = "when the link is back"
    AT_LEAST_ONCE = "only if the message may go out twice"


class Fault(StrEnum):
    """Whose fault it is that the carrier has not taken the segment."""

    NOBODY = "nobody"
    MESSAGE = "the message or its route"
    PACE = "the carrier's pace"
    PHONE = "the recipient's phone"
    ROUTE = "what this carrier serves"
    ACCOUNT = "our account at the carrier"
    LINK = "the link"


class Decision(NamedTuple):
    """What follows from an outcome. `refund` means at once; `reason` is what a producer may read
    when the adapter knows nothing more precise."""

    sent: Sent
    retry: Retry
    refund: bool
    fault: Fault
    reason: str


DECISIONS = {
    OutcomeKind.ACCEPTED: Decision(Sent.YES, Retry.NEVER, False, Fault.NOBODY, ""),
    OutcomeKind.REJECTED: Decision(
        Sent.NO, Retry.NEVER, True, Fault.MESSAGE, "the carrier refused the message"
    ),
    OutcomeKind.THROTTLED: Decision(
        Sent.NO, Retry.WHEN_ASKED_FOR, False, Fault.PACE, "the carrier asks for time"
    ),
    OutcomeKind.DEFERRED: Decision(
        Sent.NO, Retry.WHEN_REACHED, False, Fault.PHONE, "the phone cannot be reached for now"
    ),
    OutcomeKind.ELSEWHERE: Decision(
        Sent.NO, Retry.BY_ANOTHER, False, Fault.ROUTE, "the carrier does not serve the recipient"
    ),
    OutcomeKind.HALTED: Decision(
        Sent.NO, Retry.WHEN_MENDED, False, Fault.ACCOUNT, "the carrier does not let us send"
    ),
    OutcomeKind.UNAVAILABLE: Decision(
        Sent.NO, Retry.WHEN_BACK, False, Fault.LINK, "the carrier's link is down"
    ),
    OutcomeKind.LOST: Decision(
        Sent.UNKNOWN, Retry.AT_LEAST_ONCE, False, Fault.LINK, "the carrier's answer was lost"
    ),
}
"""A refund follows only where the carrier has nothing and nobody will try again; what nobody can
know is neither refunded nor sent again on a guess (laws 3 and 5)."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to one submit, translated.

    `carrier_message_id` is set for ACCEPTED only. `code` is the carrier's own word or number, kept
    for people; `reason` is what a producer may read; `retry_after_ms` is the carrier's wish, or 0.
    `understood` is False of a refusal whose code nobody knows: many in a row halt a lane.
    `billed_count` is how many parts a carrier that cuts texts itself says it bills, or 0;
    `part_ids` are their ids where it names each, and else they share `carrier_message_id`.
    """

    kind: OutcomeKind
    carrier_message_id: str = ""
    code: str = ""
    reason: str = ""
    retry_after_ms: int = 0
    understood: bool = True
    billed_count: int = 0
    part_ids: tuple[str, ...] = ()

    def of_part(self, part: int) -> Outcome:
        """What it is to this part, from 1 on. Where the carrier names fewer parts than we cut, the
        last of its ids is that of all that are left."""
        if not self.part_ids:
            return self
        return msgspec.structs.replace(
            self, carrier_message_id=self.part_ids[min(part, len(self.part_ids)) - 1], part_ids=()
        )


UNAVAILABLE = Outcome(OutcomeKind.UNAVAILABLE, reason=DECISIONS[OutcomeKind.UNAVAILABLE].reason)
LOST = Outcome(OutcomeKind.LOST, reason=DECISIONS[OutcomeKind.LOST].reason)
