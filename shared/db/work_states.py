"""Where a row of work can stand and how it may move; it goes beside the states of its segments."""

from __future__ import annotations

from enum import StrEnum

from shared.sms.states import SegmentState


class WorkState(StrEnum):
    """What a message that still has something to submit waits for; `GONE`: there is no row."""

    READY = "ready"
    """The relay may publish it from `ready_at` on; before that somebody else holds the right."""
    PUBLISHED = "published"
    """In RabbitMQ since `ready_at`."""
    PARKED = "parked"
    """Until its line has tokens again."""
    SCHEDULED = "scheduled"
    """Until `ready_at`: the time its producer asked for, or that of another try."""
    GONE = "gone"


W = WorkState

MOVES: dict[WorkState, frozenset[WorkState]] = {
    W.GONE: frozenset({W.READY, W.SCHEDULED}),  # accepted, or queued again
    W.SCHEDULED: frozenset({W.READY, W.GONE}),
    W.READY: frozenset({W.PUBLISHED, W.PARKED, W.SCHEDULED, W.GONE}),
    # Ready again: the broker lost it.
    W.PUBLISHED: frozenset({W.READY, W.PARKED, W.SCHEDULED, W.GONE}),
    W.PARKED: frozenset({W.READY, W.SCHEDULED, W.GONE}),  # other parts were put off beside it
}
"""From each state, where a row may go next. Every state may end: claimed, expired or failed."""

SEGMENTS: dict[WorkState, frozenset[SegmentState]] = {
    W.READY: frozenset({SegmentState.QUEUED}),
    W.PUBLISHED: frozenset({SegmentState.QUEUED}),
    W.PARKED: frozenset({SegmentState.PARKED}),
    W.SCHEDULED: frozenset({SegmentState.SCHEDULED, SegmentState.QUEUED}),
}
"""How the segments stand that a row of work is about: all of a message's alike."""
