"""Where a segment can stand, how it may move, and what that makes of its message (law 4).

Evidence about a segment arrives in any order and any number of times: answers to submits,
receipts, deadlines. `MOVES` says from where it leads where. What a carrier's words, or their
absence, can bring about stands in one row, `in_doubt submitted unknown rejected expired undelivered
delivered`, and leads only up it: so every order of the same evidence ends in the same place. The
roads before a carrier has spoken (waiting, being submitted, being submitted again) go round, and
only the owner of the work row walks them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class SegmentState(StrEnum):
    """Where one segment stands."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PARKED = "parked"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    CANCELED = "canceled"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"


class MessageStatus(StrEnum):
    """The words a producer reads; `submitting` is shown as `queued`."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PARKED = "parked"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    UNKNOWN = "unknown"


S = SegmentState

MOVES: dict[SegmentState, frozenset[SegmentState]] = {
    S.SCHEDULED: frozenset({S.QUEUED, S.PARKED, S.SUBMITTING, S.EXPIRED, S.CANCELED, S.FAILED}),
    S.QUEUED: frozenset({S.PARKED, S.SUBMITTING, S.EXPIRED, S.CANCELED, S.FAILED}),
    S.PARKED: frozenset({S.QUEUED, S.SUBMITTING, S.EXPIRED, S.CANCELED, S.FAILED}),
    # The answer, its absence, or proof that nothing was taken: back to the queue.
    S.SUBMITTING: frozenset(
        {
            S.QUEUED,
            S.SUBMITTED,
            S.REJECTED,
            S.IN_DOUBT,
            S.CANCELED,
            S.FAILED,
            S.EXPIRED,
            S.DELIVERED,
            S.UNDELIVERED,
            S.UNKNOWN,
        }
    ),
    # Queued again only if at_least_once was asked; otherwise a receipt or the deadline ends it.
    S.IN_DOUBT: frozenset(
        {
            S.QUEUED,
            S.SUBMITTED,
            S.UNKNOWN,
            S.REJECTED,
            S.EXPIRED,
            S.UNDELIVERED,
            S.DELIVERED,
        }
    ),
    S.SUBMITTED: frozenset({S.UNKNOWN, S.REJECTED, S.EXPIRED, S.UNDELIVERED, S.DELIVERED}),
    S.UNKNOWN: frozenset({S.REJECTED, S.EXPIRED, S.UNDELIVERED, S.DELIVERED}),
    # A carrier contradicting itself: what stands further down stands, whichever came first.
    S.REJECTED: frozenset({S.EXPIRED, S.UNDELIVERED, S.DELIVERED}),
    S.EXPIRED: frozenset({S.UNDELIVERED, S.DELIVERED}),
    S.UNDELIVERED: frozenset({S.DELIVERED}),
    S.DELIVERED: frozenset(),
    S.CANCELED: frozenset(),
    S.FAILED: frozenset(),
}
"""From each state, where a segment may go next; everything else is ignored."""

WAITING = frozenset(state for state, nexts in MOVES.items() if S.SUBMITTING in nexts)
"""What may be submitted: nothing is under way, and a work row owns the segment."""

TO_SUBMIT = WAITING | {S.SUBMITTING, S.IN_DOUBT}
"""What may be submitted, now or again; what is in none of these never will be, and needs its text
no more. They come first in ROLL_UP, so a message's status tells whether any part of it does."""

FINAL = frozenset(
    {S.UNKNOWN, S.CANCELED, S.FAILED, S.REJECTED, S.EXPIRED, S.UNDELIVERED, S.DELIVERED}
)
"""Nothing more is expected, though a late receipt may still correct some of them."""

ROLL_UP = (
    # While anything waits, the message waits; then doubt; then hope; then the worst end.
    S.SCHEDULED,
    S.PARKED,
    S.QUEUED,
    S.SUBMITTING,
    S.IN_DOUBT,
    S.SUBMITTED,
    S.REJECTED,
    S.FAILED,
    S.UNDELIVERED,
    S.EXPIRED,
    S.CANCELED,
    S.UNKNOWN,
    S.DELIVERED,
)
"""A message's status is the first of these that any of its segments has come to."""
_ORDER = {state: place for place, state in enumerate(ROLL_UP)}


def move(current: SegmentState, evidence: SegmentState) -> SegmentState:
    """Where a segment stands after this evidence: the evidence's state if the move is allowed, else
    where it stood. Total over all pairs; repeating evidence changes nothing."""
    return evidence if evidence in MOVES[current] else current


def status_of(segments: Iterable[SegmentState]) -> MessageStatus:
    """The message's status: the first word in the roll-up order that any segment says (law 4).

    Raises ValueError for a message without segments, which cannot exist.
    """
    first = min(segments, key=_ORDER.__getitem__)
    return MessageStatus.QUEUED if first is S.SUBMITTING else MessageStatus(first.value)
