"""The closed vocabulary of what handing a segment to a carrier can come to (law 7)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class OutcomeKind(StrEnum):
    """What is known after trying to submit one segment.

    | kind | sent? | retry | refund | whose fault |
    |---|---|---|---|---|
    | ACCEPTED | yes | no | no | - |
    | REJECTED | no, for good | no | yes | the message's or the route's |
    | THROTTLED | no, not now | when the bind goes on | no | the carrier's pace |
    | UNAVAILABLE | no byte left us | when the link is back | no | the link's |
    | LOST | nobody can know | only if at_least_once was asked | not yet | the link's |
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    LOST = "lost"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to one submit, translated.

    `carrier_message_id` is set for ACCEPTED only. `code` is the carrier's own word or number, kept
    for people; `reason` is what a producer may read; `retry_after_ms` is the carrier's wish, or 0.
    """

    kind: OutcomeKind
    carrier_message_id: str = ""
    code: str = ""
    reason: str = ""
    retry_after_ms: int = 0


UNAVAILABLE = Outcome(OutcomeKind.UNAVAILABLE, reason="the carrier's link is down")
LOST = Outcome(OutcomeKind.LOST, reason="the carrier's answer was lost")
