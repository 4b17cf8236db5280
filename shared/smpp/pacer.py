"""How fast a carrier takes requests: found by asking for a little more until it says "slower"."""

from __future__ import annotations

import math

RATE_MIN = 1.0
BURST_SECONDS = 0.02
"""What was left unsaid for so long may be said at once."""
ROOM_SECONDS = 0.5
"""How far ahead of their turn requests may be queued: their leave to be sent ends some time."""
STEADY_SECONDS = 0.5
CAREFUL_SECONDS = 3.0
CAREFUL_COUNT = 250
CAREFUL_GROWTH = 0.02
BOLD_GROWTH = 0.4
FIRST_GROWTH = 2.0
"""Growth a second: none just after a cut, then careful, then bold, for the limit has changed. With
fewer requests than those in that time it is careful for longer, lest more than one of 100 be too
many. The first growth is that of a rate that was guessed, not found, and of one that fell by more
than it had to, such as when this process was too busy to ask."""
REGAINED = 0.5
"""Of the rate before an episode of throttling: up to there it grows as at first."""
CUT = 0.95
DEEP_CUT = 0.5
HOLD_SECONDS_MIN = 0.05
HOLD_SECONDS_MAX = 5.0
TICK_SECONDS = 0.002
"""A loop's clock may go by milliseconds: what is written as a hold ends is written after it."""
PROBE_COUNT = 2
"""Requests that may be unanswered while it is not known whether anything is taken again."""
FORGET_SECONDS = 60.0
_EPOCH_COUNT_MIN = 3
"""Requests at the rate there is by which what is taken of them says something."""


class Pacer:
    """The rate of one bind, in requests a second, from its first throttling on.

    A throttling counts once for all requests that were written before it was heard of. Then the
    rate falls to a little under what the carrier has been taking meanwhile, and when it has taken
    nothing, all is held, ever longer, and then tried with two. Times are in seconds of one clock.
    """

    __slots__ = (
        "_asked_at",
        "_before",
        "_cut_at",
        "_epoch_at",
        "_grown_at",
        "_hold_seconds",
        "_limited",
        "_probing",
        "_taken_count",
        "_tokens",
        "is_found",
        "rate",
    )

    def __init__(self, rate: float, now: float) -> None:
        self.rate = max(RATE_MIN, rate)
        self._cut_at = -math.inf
        self._epoch_at = now
        self._taken_count = 0
        self._grown_at = now
        self._asked_at = now
        self._tokens = 0.0
        self._before = 0.0
        self._limited = False
        self.is_found = False
        """Whether the rate was measured, and not only guessed."""
        self._hold_seconds = HOLD_SECONDS_MIN
        self._probing = False

    def allowance(self, now: float, queued: int, unanswered: int) -> int:
        """How many of the queued requests may be written now; they count as written."""
        if self._probing:
            return max(0, min(queued, PROBE_COUNT - unanswered))
        most = max(1.0, self.rate * BURST_SECONDS)
        self._tokens = min(most, self._tokens + (now - self._asked_at) * self.rate)
        self._asked_at = now
        allowed = min(queued, int(self._tokens))
        self._tokens -= allowed
        self._limited = self._limited or allowed < queued
        return allowed

    def room(self, queued: int, unanswered: int) -> int:
        """How many more may be queued."""
        if self._probing:
            return PROBE_COUNT - queued - unanswered
        return math.ceil(self.rate * ROOM_SECONDS) - queued

    @property
    def wait_seconds(self) -> float:
        """When to ask for an allowance again; infinite where only an answer can change it."""
        if self._probing:
            return math.inf
        return max(0.002, (1.0 - self._tokens) / self.rate)

    def taken(self, now: float) -> bool:
        """The carrier has taken a request. Whether it is to be paced any longer."""
        self._taken_count += 1
        self._hold_seconds = HOLD_SECONDS_MIN
        if self._probing:
            self._probing = False
            self._asked_at = now
        if now - self._grown_at > 0.1:
            self._grow(now)
        return now - self._cut_at < FORGET_SECONDS

    def throttled(self, now: float, written_at: float) -> float:
        """The carrier asks for less; for how many seconds nothing is to be written."""
        if written_at <= self._cut_at:
            return 0.0
        if now - self._cut_at > STEADY_SECONDS:
            self._before = self.rate
        seconds = now - self._epoch_at
        hold_seconds = 0.0
        if self._probing or (self._taken_count == 0 and seconds * self.rate >= _EPOCH_COUNT_MIN):
            hold_seconds = self._hold_seconds
            self._hold_seconds = min(HOLD_SECONDS_MAX, 2 * hold_seconds)
            self._probing = True
        elif seconds * self.rate >= _EPOCH_COUNT_MIN:
            taking = min(self.rate, self._taken_count / seconds)
            self.rate = CUT * max(RATE_MIN, taking, self.rate * DEEP_CUT)
            self._epoch_at, self._taken_count = now, 0
            self.is_found = True
        else:
            self.rate = max(RATE_MIN, CUT * self.rate)
        self._cut_at = now + max(0.0, hold_seconds - TICK_SECONDS)
        self._grown_at = now
        self._tokens = 0.0
        self._limited = False
        return hold_seconds

    def _grow(self, now: float) -> None:
        seconds, self._grown_at = now - self._grown_at, now
        settled_seconds = now - self._cut_at
        if self._limited and settled_seconds > STEADY_SECONDS:
            self.rate *= 1 + seconds * self._growth(settled_seconds)
        self._limited = False
        if now - self._epoch_at > 1.0:
            # What it takes is measured over the last second or so, for it changes.
            self._epoch_at, self._taken_count = now - 0.5, self._taken_count // 2

    def _growth(self, settled_seconds: float) -> float:
        if not self.is_found or self.rate < REGAINED * self._before:
            return FIRST_GROWTH
        careful = settled_seconds < max(CAREFUL_SECONDS, CAREFUL_COUNT / self.rate)
        return CAREFUL_GROWTH if careful else BOLD_GROWTH
