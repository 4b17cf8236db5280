"""When segments will leave: the limiter's arithmetic of `permit.lua`, ahead of time and pure."""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from shared.limits.permits import LATE_MS, UNLIMITED, Scope

STEP_COUNT_MAX = 5_000
"""Moments that a curve looks ahead, some three days where it moves each minute: what comes after
the last one comes then at the earliest."""
RELEASE_MS = 1_000
"""What it takes on average until a scheduler has seen that a token is back."""
SECOND_MS = 1_000
PARKED_PACE = 2 / 3
"""What leaves of what is parked on a line that is limited by the second, by what may: a scheduler
looks each second, a little before the last tokens of the one before are back."""
TEMPO_MS = 2 * 3_600_000
"""How long what came is remembered to guess what will come."""
OVERTAKING_ROUNDS = 5
"""While some overtake a message others come: so often this is worked out anew."""


class LimitWindow(NamedTuple):
    """How tokens of a window come back: with their slot, a window later."""

    slot_ms: int
    length_ms: int

    def returns_at_ms(self, taken_at_ms: int) -> int:
        """When a token that was taken then is back."""
        slot_end_ms = (taken_at_ms // self.slot_ms + 1) * self.slot_ms
        return slot_end_ms + self.length_ms + LATE_MS


WINDOWS = (
    LimitWindow(60_000, 3_600_000),
    LimitWindow(900_000, 86_400_000),
    LimitWindow(21_600_000, 2_678_400_000),
)
"""As in permit.lua, in the order of a scope's limits."""


class _Bucket:
    """Tokens of one window that are out, by when they return."""

    def __init__(self, window: LimitWindow, limit: int, used: Iterable[tuple[int, int]]) -> None:
        self._window = window
        self._limit = limit
        self._out: deque[tuple[int, int]] = deque()
        self._used = 0
        for taken_at_ms, segments in used:
            self.take(taken_at_ms, segments)

    @property
    def room(self) -> int:
        return self._limit - self._used

    @property
    def next_ms(self) -> int | None:
        """When the first token returns; None where there is none to return."""
        return self._out[0][0] if self._out else None

    def take(self, now_ms: int, segments: int) -> None:
        returns_at_ms = self._window.returns_at_ms(now_ms)
        if self._out and self._out[-1][0] >= returns_at_ms:
            returns_at_ms, held = self._out.pop()
            self._out.append((returns_at_ms, held + segments))
        else:
            self._out.append((returns_at_ms, segments))
        self._used += segments

    def drop_returned(self, now_ms: int) -> None:
        while self._out and self._out[0][0] <= now_ms:
            self._used -= self._out.popleft()[1]


class DepartureCurve:
    """How many segments can have left a scope by when, if from now on each leaves as soon as the
    limits let it. Worked out as far as it is asked."""

    def __init__(self, scope: Scope, now_ms: int, used: Collection[tuple[int, int]]) -> None:
        """`used` are (start of a minute or of a coarser slot in ms, segments), oldest first."""
        self._buckets = [
            _Bucket(window, limit, used)
            for window, limit in zip(WINDOWS, (scope.hour, scope.day, scope.month), strict=True)
            if limit < UNLIMITED
        ]
        self._now_ms = now_ms
        self._per_segment_ms = _per_segment_ms(scope)
        self._times_ms: list[int] = []
        self._totals: list[int] = []
        self._through_ms: list[float] = []
        """When all that could leave at each of these times have, one after the other."""
        self._ended = not self._buckets
        for bucket in self._buckets:
            bucket.drop_returned(now_ms)
        self._take_all()
        at_once = self._totals[0] if self._totals else 0
        self.room = max(0, at_once) if self._buckets else UNLIMITED
        """Segments that can leave at once, but for a limit per second."""

    def leaves_at_ms(self, place: int) -> int:
        """When the segment at this place, counted from 1, leaves; where that is too far away to
        tell, a time before which it does not."""
        while not self._ended and (not self._totals or self._totals[-1] < place):
            self._step()
        if not self._totals:
            return int(self._now_ms + place * self._per_segment_ms)
        found = min(bisect.bisect_left(self._totals, place), len(self._times_ms) - 1)
        before = self._totals[found - 1] if found else 0
        paced_ms = (min(place, self._totals[found]) - before) * self._per_segment_ms
        return int(self._begins_ms(found) + paced_ms)

    def _begins_ms(self, step: int) -> float:
        """When the first of those leaves that can at this step: after all that came before."""
        at_ms = self._times_ms[step]
        return max(at_ms, self._through_ms[step - 1]) if step else at_ms

    def _step(self) -> None:
        """Go on to the next moment at which something can leave."""
        pending = [bucket.next_ms for bucket in self._buckets if bucket.room <= 0]
        times_ms = [each for each in pending if each is not None]
        if len(times_ms) < len(pending) or len(self._times_ms) >= STEP_COUNT_MAX:
            self._ended = True
            return
        self._now_ms = max(times_ms)
        for bucket in self._buckets:
            bucket.drop_returned(self._now_ms)
        self._take_all()

    def _take_all(self) -> None:
        room = min((bucket.room for bucket in self._buckets), default=0)
        if room <= 0:
            return
        for bucket in self._buckets:
            bucket.take(self._now_ms, room)
        self._times_ms.append(self._now_ms)
        self._totals.append(room + (self._totals[-1] if self._totals else 0))
        step = len(self._times_ms) - 1
        self._through_ms.append(self._begins_ms(step) + room * self._per_segment_ms)


def _per_segment_ms(scope: Scope) -> float:
    """Of what is parked, from one segment to the next by the limit per second; 0: there is none."""
    return SECOND_MS / (scope.second * PARKED_PACE) if scope.second else 0.0


class MessageKind(NamedTuple):
    """What of a message decides whom it waits for in its line."""

    message_class: int
    country: str


class SecondQueue:
    """A line that is limited by the second, as the queue that forms before it: until when those of
    each class and of more urgent ones keep it busy."""

    def __init__(self, scope: Scope, now_ms: int, waiting: Mapping[MessageKind, int]) -> None:
        """`waiting` are segments."""
        self._per_segment_ms = _per_segment_ms(scope)
        self._busy_until_ms: dict[int, float] = {}
        for kind, segments in waiting.items():
            self.count(now_ms, kind.message_class, segments)

    def count(self, now_ms: int, message_class: int, segments: int) -> None:
        """A message was accepted."""
        takes_ms = segments * self._per_segment_ms
        until_ms = {message_class: self._begins_ms(now_ms, message_class)} | self._busy_until_ms
        for each, at_ms in until_ms.items():
            if each >= message_class:
                self._busy_until_ms[each] = max(now_ms, at_ms) + takes_ms

    def leaves_at_ms(self, now_ms: int, message_class: int, segments: int) -> int:
        """When a message has left that is accepted now: a second's worth leaves at once."""
        begins_ms = self._begins_ms(now_ms, message_class)
        through_ms = begins_ms + segments * self._per_segment_ms - SECOND_MS / PARKED_PACE
        return max(now_ms, int(through_ms))

    def _begins_ms(self, now_ms: int, message_class: int) -> float:
        """When those before a message of this class are through: a class that nothing has come of
        waits for the next more urgent one."""
        known = [each for each in self._busy_until_ms if each <= message_class]
        return max(now_ms, self._busy_until_ms[max(known)]) if known else now_ms


class AcceptTempo:
    """How fast segments of each class come, of late: what comes later may be more urgent."""

    def __init__(self) -> None:
        self._sums: defaultdict[int, float] = defaultdict(float)
        self._at_ms = 0

    def count(self, now_ms: int, message_class: int, segments: int) -> None:
        """A message was accepted."""
        fading = math.exp(min(0, self._at_ms - now_ms) / TEMPO_MS)
        for each in self._sums:
            self._sums[each] *= fading
        self._sums[message_class] += segments
        self._at_ms = max(self._at_ms, now_ms)

    def before(self, message_class: int) -> float:
        """Segments a millisecond that overtake this class."""
        urgent = (segments for each, segments in self._sums.items() if each < message_class)
        return sum(urgent) / TEMPO_MS


class ScopeOutlook:
    """What is known of one scope: what it has used, and what waits for it. Further messages are
    counted as they are accepted, until it is read anew."""

    def __init__(
        self,
        scope: Scope,
        now_ms: int,
        used: Collection[tuple[int, int]],
        waiting: Mapping[MessageKind, int],
        tempo: AcceptTempo,
        passable: Collection[str] = (),
    ) -> None:
        """`waiting` are segments. Those to `passable` countries, which have limits of their own,
        let others pass while their country is full."""
        self.scope = scope
        self.read_at_ms = now_ms
        self.curve = DepartureCurve(scope, now_ms, used)
        self.waiting_count = sum(waiting.values())
        """Segments that waited when it was read."""
        self.tempo = tempo
        self._waiting = Counter(waiting)
        self._sum = self.waiting_count
        self._gone = 0
        self._passable = frozenset(passable)
        self._second = SecondQueue(scope, now_ms, waiting) if scope.second else None

    @property
    def tight(self) -> bool:
        """Whether what is accepted now may have to wait."""
        return 2 * self._sum >= min(self.curve.room, self.scope.second or UNLIMITED)

    def leaves_at_ms(self, now_ms: int, kind: MessageKind, segments: int) -> int:
        """When a message of this kind has left that is accepted now."""
        at_ms = self.read_at_ms
        if self._second is not None:
            at_ms = self._second.leaves_at_ms(now_ms, kind.message_class, segments)
        if self._sum + segments <= self.curve.room:
            return at_ms
        return max(at_ms, self.after_ms(kind, self._gone + self._ahead(kind), segments))

    def after_ms(self, kind: MessageKind, ahead: int, segments: int) -> int:
        """When a message of this kind has left that waits behind so many segments of those that
        waited when this was read; what is more urgent is expected to go on coming as of late."""
        overtaking = self.tempo.before(kind.message_class)
        place = ahead + segments
        at_ms = self.curve.leaves_at_ms(place)
        for _ in range(OVERTAKING_ROUNDS):
            overtaken = int(overtaking * (at_ms - self.read_at_ms))
            at_ms = self.curve.leaves_at_ms(place + overtaken)
        return at_ms if at_ms <= self.read_at_ms else at_ms + RELEASE_MS

    def count(self, now_ms: int, kind: MessageKind, segments: int) -> None:
        """A message was accepted."""
        self._sum += segments
        if self._sum <= self.curve.room:
            self._gone += segments
        else:
            self._waiting[kind] += segments
        self.tempo.count(now_ms, kind.message_class, segments)
        if self._second is not None:
            self._second.count(now_ms, kind.message_class, segments)

    def _ahead(self, kind: MessageKind) -> int:
        return sum(
            segments
            for (message_class, country), segments in self._waiting.items()
            if message_class <= kind.message_class
            and (country == kind.country or country not in self._passable)
        )
