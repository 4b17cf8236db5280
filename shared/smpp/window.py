"""The requests of one session: queued, written, answered; never more than W written unanswered."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

GIVEN_UP_COUNT_MAX = 4096


class AnswerKind(StrEnum):
    """How a request ended, as far as anybody can know."""

    ANSWERED = "answered"
    NOT_SENT = "not_sent"  # No byte of it was written: it may safely go elsewhere.
    LOST = "lost"  # Written, but no answer came in time or the link died: nobody can know.
    LATE = "late"  # Answered after all, when it had been given up as LOST.


class Answer(NamedTuple):
    """What became of a request; `status` and `message_id` mean something only when ANSWERED or
    LATE."""

    kind: AnswerKind
    status: int = 0
    message_id: str = ""


NOT_SENT = Answer(AnswerKind.NOT_SENT)
LOST = Answer(AnswerKind.LOST)

OnAnswer = Callable[[Answer], None]
"""Told once what became of a request, in the very call that finds out; and once more, with LATE,
when it was LOST and its answer comes after all."""
OnFailure = Callable[[Exception], None]


class Window:
    """The order of requests. Each owner is told exactly once; a fault of an owner's goes to
    `on_failure`, for it must not cost the link.

    Time is given by the caller, in seconds of any steady clock. Of the requests that were given up
    the youngest GIVEN_UP_COUNT_MAX are remembered, since their answers may come late.
    """

    __slots__ = ("_given_up", "_on_failure", "_queued", "_watchers", "_written", "asked_at", "size")

    def __init__(self, size: int, on_failure: OnFailure) -> None:
        if size < 1:
            raise ValueError("a window holds at least one request")
        self.size = size
        self.asked_at = 0.0
        """When the request was written whose answer is being told."""
        self._on_failure = on_failure
        self._queued: deque[tuple[int, bytes, OnAnswer, float]] = deque()
        self._written: dict[int, tuple[OnAnswer, float]] = {}
        self._given_up: dict[int, OnAnswer] = {}
        self._watchers: list[asyncio.Future[None]] = []

    @property
    def room(self) -> int:
        """Requests that could be written at once; never negative."""
        left = self.size - len(self._written) - len(self._queued)
        return left if left > 0 else 0

    @property
    def queued(self) -> int:
        return len(self._queued)

    @property
    def unanswered(self) -> int:
        return len(self._written)

    @property
    def owed(self) -> bool:
        """Whether an answer may still come, in time or late."""
        return bool(self._written or self._given_up)

    def put(
        self, sequence: int, frame: bytes, on_answer: OnAnswer, leave_by: float = math.inf
    ) -> None:
        """Queue a request, which may not be written after `leave_by`, in the clock of `take`."""
        self._queued.append((sequence, frame, on_answer, leave_by))

    def take(self, now: float, clock: float, count: int | None = None) -> list[bytes]:
        """The frames to write now, at most `count`; from here on they count as written. Those whose
        time by that clock is over are NOT_SENT."""
        frames: list[bytes] = []
        queued, written = self._queued, self._written
        most = self.size if count is None else min(self.size, len(written) + count)
        while queued and len(written) < most:
            sequence, frame, on_answer, leave_by = queued.popleft()
            if clock > leave_by:
                self._tell(on_answer, NOT_SENT)
            else:
                written[sequence] = (on_answer, now)
                frames.append(frame)
        return frames

    def settle(self, sequence: int, answer: Answer) -> bool:
        """False when no written request has this sequence number."""
        written = self._written.pop(sequence, None)
        if written is None:
            return False
        self.asked_at = written[1]
        self._tell(written[0], answer)
        return True

    def settle_late(self, sequence: int, answer: Answer) -> bool:
        """False when no request of this number has been given up, or its answer came before."""
        on_answer = self._given_up.pop(sequence, None)
        if on_answer is None:
            return False
        self._tell(on_answer, answer._replace(kind=AnswerKind.LATE))
        return True

    def expire(self, written_before: float) -> int:
        """Give up on requests written before that time; returns how many."""
        late: list[int] = []
        for sequence, (_, written_at) in self._written.items():
            if written_at >= written_before:
                break  # Written in this order, so all others are younger.
            late.append(sequence)
        for sequence in late:
            self._give_up(sequence)
        return len(late)

    def _give_up(self, sequence: int) -> None:
        if len(self._given_up) >= GIVEN_UP_COUNT_MAX:
            del self._given_up[next(iter(self._given_up))]
        self._given_up[sequence] = self._written[sequence][0]
        self.settle(sequence, LOST)

    def return_queued(self) -> None:
        """Hand back everything not yet written."""
        while self._queued:
            self._tell(self._queued.popleft()[2], NOT_SENT)

    def close(self) -> None:
        """The link is gone: what was queued is NOT_SENT, what was written is LOST."""
        self.return_queued()
        for sequence in list(self._written):
            self.settle(sequence, LOST)

    def _tell(self, on_answer: OnAnswer, answer: Answer) -> None:
        try:
            on_answer(answer)
        except Exception as error:
            self._on_failure(error)

    async def changed(self) -> None:
        """Return at the next `wake`."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append(watcher)
        await watcher

    def wake(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)
