"""When a segment's debit is given back (law 5): exactly when no carrier ever took it."""

from __future__ import annotations

from shared.sms.states import SegmentState

ENDED_UNSENT = frozenset(
    {
        SegmentState.REJECTED,
        SegmentState.FAILED,
        SegmentState.EXPIRED,
        SegmentState.CANCELED,
        SegmentState.UNKNOWN,
    }
)
"""Ends that a segment can come to without any carrier having taken it. A receipt may say some of
them too, of what was taken; then nothing is given back."""


def is_due(state: SegmentState, accepted: bool) -> bool:
    """Whether a segment that has come to `state` is refunded. `accepted`: a carrier has proved, by
    an answer or a receipt, that it took the segment. A later proof changes the status, never the
    money."""
    return not accepted and state in ENDED_UNSENT
