"""What the limiter should do, worked out by brute force from a plain list of (time, segments)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.limits import permits

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONTH_MS = 31 * DAY_MS
AGE_LIMIT_MS = permits.PERMIT_AGE_LIMIT_MS
LATE_MS = permits.LATE_MS
WINDOWS = ((60_000, HOUR_MS), (900_000, DAY_MS), (6 * HOUR_MS, MONTH_MS))

Limits = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Sent:
    """Segments that went out under one permit; `order` counts permits as they were granted."""

    order: int
    granted_at_ms: int
    sent_at_ms: int
    segments: int
    limits: Limits


def assert_within_limits(history: Iterable[Sent]) -> None:
    """No rolling window and no calendar unit holds more than its limit, by time of sending.

    The limit of a window is the one in force at the last permit in it.
    """
    for window, together in _windows(sorted(history, key=lambda one: one.sent_at_ms)):
        limit = max(together, key=lambda one: one.order).limits[window]
        total = sum(one.segments for one in together)
        assert total <= limit, f"{total} segments in a window of {limit}"


def _windows(history: Sequence[Sent]) -> Iterator[tuple[int, Sequence[Sent]]]:
    for window, (_, length_ms) in enumerate(WINDOWS):
        end = 0
        for start, first in enumerate(history):
            while end < len(history) and history[end].sent_at_ms < first.sent_at_ms + length_ms:
                end += 1
            yield window, history[start:end]
    units: tuple[Callable[[Sent], Hashable], ...] = (
        lambda one: one.sent_at_ms // HOUR_MS,
        lambda one: one.sent_at_ms // DAY_MS,
        lambda one: datetime.fromtimestamp(one.sent_at_ms / 1000, UTC).strftime("%Y-%m"),
    )
    for window, unit in enumerate(units):
        together: dict[Hashable, list[Sent]] = {}
        for one in history:
            together.setdefault(unit(one), []).append(one)
        for group in together.values():
            yield window, group


class Tokens:
    """One scope's tokens out: a list, never tidied up."""

    def __init__(self, taken: Iterable[tuple[int, int]] = ()) -> None:
        self._taken = list(taken)

    def take(self, now_ms: int, segments: int) -> None:
        self._taken.append((now_ms, segments))

    def give_back(self, granted_at_ms: int, segments: int) -> None:
        self._taken.remove((granted_at_ms, segments))

    def out(self, window: int, now_ms: int) -> int:
        return sum(
            segments for at_ms, segments in self._taken if now_ms < _returns_at(window, at_ms)
        )

    def room(self, limits: Limits, now_ms: int) -> int:
        return min(limit - self.out(window, now_ms) for window, limit in enumerate(limits))

    def ready_at(self, limits: Limits, segments: int, now_ms: int) -> int:
        """The first of all moments at which a token returns, or now, that leaves enough room."""
        moments = {_returns_at(window, at_ms) for at_ms, _ in self._taken for window in range(3)}
        later = sorted(moment for moment in moments if moment > now_ms)
        return next(moment for moment in (now_ms, *later) if self.room(limits, moment) >= segments)


def _returns_at(window: int, at_ms: int) -> int:
    slot_ms, length_ms = WINDOWS[window]
    return (at_ms // slot_ms + 1) * slot_ms + length_ms + LATE_MS
