"""What an answer to a submit makes of its segment, and when what was not taken is tried again."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from shared.carriers.outcomes import DECISIONS, OutcomeKind, Retry, Sent
from shared.sms.states import SegmentState

ATTEMPT_COUNT_MAX = 2
"""Submits of an at_least_once segment that may each have been taken; others have one."""
IDEMPOTENT_ATTEMPT_COUNT_MAX = 5
"""The same of a segment that its carrier takes once, however often it is submitted."""
WISH_MAX_MS = 300_000
"""How long a carrier may make us wait by its own word."""
DEFERRAL_DELAY_MIN_MS = 5_000
DEFERRAL_DELAY_MAX_MS = 1_800_000
"""Between two tries of a message whose phone cannot be reached: doubled from the first to the
second."""
DEFERRAL_COUNT_MAX = 24
"""Tries of such a message, within some nine hours: with a reason to give up, rather than with its
validity, and so with a refund while somebody still waits for it."""

_DELAYS_MS = {Retry.WHEN_ASKED_FOR: 1_000, Retry.WHEN_BACK: 250, Retry.WHEN_MENDED: 1_000}
"""Where no lane holds the message; the link itself pauses for as long as it must."""


class Rest(StrEnum):
    """What becomes of the parts behind the one that was answered."""

    SUBMIT = "submit"
    QUEUE = "queue"
    CANCEL = "cancel"


class Next(NamedTuple):
    """Where a segment goes; `delay_ms` is None where it is not queued again. `permit_unused`: the
    carrier has nothing, and what was taken from the limits goes back to them. `keeps_place`: it is
    the link's doing, so a lane that holds the message still tries it before all others."""

    state: SegmentState
    delay_ms: int | None = None
    permit_unused: bool = False
    keeps_place: bool = False


_ENDS = {
    OutcomeKind.ACCEPTED: Next(SegmentState.SUBMITTED),
    OutcomeKind.REJECTED: Next(SegmentState.REJECTED),
    OutcomeKind.ELSEWHERE: Next(SegmentState.REJECTED),
    OutcomeKind.LOST: Next(SegmentState.IN_DOUBT),
}
NEVER_TRIED = Next(SegmentState.CANCELED, permit_unused=True)
"""Of the parts behind one that was refused for good."""
MOVED = Next(SegmentState.QUEUED, 0, permit_unused=True)
"""Of the parts of a message that another carrier is to take."""


def after(kind: OutcomeKind, deferral_count: int, wish_ms: int = 0) -> Next:
    """What follows from an outcome, for a message that was deferred so many times before.

    Only what is deferred waits ever longer, and has an end. What the link does not take now, for
    whatever reason, uses up nothing. A delay is never shorter than the carrier's wish. What is
    refused by this carrier alone ends here when no other takes it.
    """
    if kind in _ENDS:
        return _ENDS[kind]
    wish_ms = min(wish_ms, WISH_MAX_MS)
    unused = DECISIONS[kind].sent is Sent.NO
    if kind is not OutcomeKind.DEFERRED:
        delay_ms = max(_DELAYS_MS[DECISIONS[kind].retry], wish_ms)
        return Next(SegmentState.QUEUED, delay_ms, unused, keeps_place=True)
    if deferral_count + 1 >= DEFERRAL_COUNT_MAX:
        return Next(SegmentState.REJECTED)
    grown_ms = min(DEFERRAL_DELAY_MIN_MS << min(deferral_count, 16), DEFERRAL_DELAY_MAX_MS)
    return Next(SegmentState.QUEUED, max(grown_ms, wish_ms), unused)


def rest_after(kind: OutcomeKind, deferral_count: int) -> Rest:
    """A part is submitted only when the one before it was taken. Behind one that was refused for
    good the rest is canceled, rather than paid for as half a message; else it is queued again."""
    if kind is OutcomeKind.ACCEPTED:
        return Rest.SUBMIT
    refused = after(kind, deferral_count).state is SegmentState.REJECTED
    return Rest.CANCEL if refused else Rest.QUEUE
