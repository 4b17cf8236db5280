"""How many submits a second the carrier takes, which it tells nobody."""

from __future__ import annotations

import math

BURST_SECONDS = 0.2


class HiddenLimit:
    """A limit that swings between two rates in submits a second, from the higher to the lower and
    back in each period; what of it is not used within BURST_SECONDS is lost."""

    def __init__(self, low: float, high: float, period_seconds: float) -> None:
        self._low, self._high = low, high
        self._period_seconds = period_seconds
        self._began: float | None = None
        self._at = 0.0
        self._room = 0.0

    def per_second(self, since_seconds: float) -> float:
        """The rate so long after its first submit."""
        tide = (1 + math.cos(2 * math.pi * since_seconds / self._period_seconds)) / 2
        return self._low + (self._high - self._low) * tide

    def take(self, now: float) -> bool:
        """Whether one more submit is within the limit, at this time in seconds."""
        if self._began is None:
            self._began, self._at, self._room = now, now, 1.0
        rate = self.per_second(now - self._began)
        most = max(1.0, rate * BURST_SECONDS)
        self._room = min(most, self._room + rate * (now - self._at))
        self._at = now
        if self._room < 1.0:
            return False
        self._room -= 1.0
        return True
