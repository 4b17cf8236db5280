"""How many requests a bind leaves unanswered: a window that finds its own size."""

from __future__ import annotations

import math

SLOW = 2.0
"""So many times the quickest round trip of late is slow: answers queue at the carrier."""
SLOW_SECONDS_MIN = 0.02
CUT = 0.7
MEMORY_SECONDS = 60.0
_WEIGHT = 0.1


class Breadth:
    """The size of one bind's window, between `least` and `most`.

    It doubles a round trip while it is what limits, until the first cut; after that it grows by one
    a round trip. A cut follows a throttling, and answers that come slower and slower, once for all
    that was written before. Times are in seconds of one clock.
    """

    __slots__ = ("_base", "_base_at", "_cut_at", "_exact", "_former_base", "_mean", "least", "most")

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most
        self._exact = float(least)
        self._cut_at = -math.inf
        self._mean = 0.0
        self._base = self._former_base = math.inf
        self._base_at = -math.inf

    @property
    def size(self) -> int:
        return int(self._exact)

    def answered(self, now: float, written_at: float, *, full: bool) -> None:
        """An answer came; `full`: until then nothing more could be written."""
        seconds = now - written_at
        self._mean += (seconds - self._mean) * (_WEIGHT if self._mean else 1.0)
        if now - self._base_at > MEMORY_SECONDS:
            self._former_base, self._base, self._base_at = self._base, self._mean, now
        elif self._mean < self._base:
            self._base = self._mean
        base = min(self._base, self._former_base)
        if self._mean > max(SLOW * base, base + SLOW_SECONDS_MIN):
            self.cut(now, written_at)
        elif full:
            first = self._cut_at == -math.inf
            self._exact = min(self.most, self._exact + (1.0 if first else 1.0 / self._exact))

    def cut(self, now: float, written_at: float) -> None:
        """Be content with less, unless this was heard of already."""
        if written_at > self._cut_at:
            self._cut_at = now
            self._exact = max(float(self.least), self._exact * CUT)
