"""Whether a throttling is about the pace at all, or about whoever is throttled alone."""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum

FEW_COUNT, MANY_COUNT = 5, 20
"""Others that were taken meanwhile: the first where none of them was throttled, the second where no
more than OTHERS_SHARE_MAX were."""
OTHERS_SHARE_MAX = 0.1
SUSPECT_COUNT_MAX = 10_000


class Culprit(IntEnum):
    """What a throttling is about."""

    PACE = 0
    UNCLEAR = 1
    ITSELF = 2


class Blame:
    """Who is throttled again and again while the carrier takes what others send.

    Somebody (a sender, a message) who has been throttled `times_min` times, with nothing taken of
    it in between, is to blame itself when meanwhile enough of others was taken. Where others are
    throttled too it is the pace.
    """

    __slots__ = ("_taken_count", "_throttled_count", "_times_min", "suspects")

    def __init__(self, times_min: int) -> None:
        self._times_min = times_min
        self._taken_count = self._throttled_count = 0
        self.suspects: dict[Hashable, tuple[int, int, int]] = {}
        """How often each was throttled; what had been taken and throttled of all before."""

    def taken(self, who: Hashable) -> None:
        """Something of it was taken; need not be told while there are no suspects."""
        self._taken_count += 1
        self.suspects.pop(who, None)

    def throttled(self, who: Hashable) -> Culprit:
        """Something of it was throttled."""
        if len(self.suspects) >= SUSPECT_COUNT_MAX and who not in self.suspects:
            del self.suspects[next(iter(self.suspects))]
        before = (0, self._taken_count, self._throttled_count)
        times, taken_before, throttled_before = self.suspects.get(who, before)
        times += 1
        self._throttled_count += 1
        self.suspects[who] = (times, taken_before, throttled_before)
        taken = self._taken_count - taken_before
        throttled = self._throttled_count - throttled_before - times
        if not taken or throttled > OTHERS_SHARE_MAX * (taken + throttled):
            return Culprit.PACE
        enough = taken >= (MANY_COUNT if throttled else FEW_COUNT)
        return Culprit.ITSELF if enough and times >= self._times_min else Culprit.UNCLEAR
