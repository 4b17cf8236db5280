"""What a session is given when it is made: how much it may do at once, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.smpp import life

OPEN_REQUEST_COUNT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Terms:
    """How a session conducts itself.

    At most `window` of its own requests are ever unanswered; with `window_min` a bind finds the
    number between both by itself. While about `open_requests_max` of the
    peer's are, it stops reading. `system_id` is an SMSC's name in its bind responses.
    """

    window: int
    timers: life.Timers = field(default_factory=life.Timers)
    open_requests_max: int = OPEN_REQUEST_COUNT_MAX
    system_id: str = ""
    window_min: int | None = None
