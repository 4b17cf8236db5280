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
    """Until `ready_at`: the time its producer asked for."""
    GONE = "gone"


W = WorkState

MOVES: dict[WorkState, frozenset[WorkState]] = {
    W.GONE: frozenset({W.READY, W.SCHEDULED}),  # accepted, or queued again
    W.SCHEDULED: frozenset({W.READY, W.GONE}),
    W.READY: frozenset({W.PUBLISHED, W.PARKED, W.GONE}),
    W.PUBLISHED: frozenset({W.READY, W.PARKED, W.GONE}),  # ready again: the broker lost it
    W.PARKED: frozenset({W.READY, W.GONE}),
}
"""From each state, where a row may go next. Every state may end: claimed, expired or failed."""

SEGMENTS: dict[WorkState, SegmentState] = {
    W.READY: SegmentState.QUEUED,
    W.PUBLISHED: SegmentState.QUEUED,
    W.PARKED: SegmentState.PARKED,
    W.SCHEDULED: SegmentState.SCHEDULED,
}
"""How the segments stand that a row of work is about."""
