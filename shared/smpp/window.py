"""The requests of one session: queued, written, answered; never more than W written unanswered."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

GIVEN_UP_COUNT_MAX = 4096

Result = TypeVar("Result")


class AnswerKind(StrEnum):
    """How a request ended, as far as anybody can know."""

    ANSWERED = "answered"
    NOT_SENT = "not_sent"  # No byte of it was written: it may safely go elsewhere.
    LOST = "lost"  # Written, but no answer came in time or the link died: nobody can know.


class Answer(NamedTuple):
    """What became of a request; `status` and `message_id` mean something only when ANSWERED."""

    kind: AnswerKind
    status: int = 0
    message_id: str = ""


NOT_SENT = Answer(AnswerKind.NOT_SENT)
LOST = Answer(AnswerKind.LOST)

Reader = Callable[[Answer], Result]
"""Makes of an answer what the owner of the request wants to have."""


def as_it_is(answer: Answer) -> Answer:
    return answer


class Late(NamedTuple):
    """A request that was given up, and what its owner called it."""

    key: object


_Owner = tuple[asyncio.Future[Any], Reader[Any], object]


def _tell(owner: _Owner, answer: Answer) -> None:
    future, read, _ = owner
    if future.done():
        return
    try:
        future.set_result(read(answer))
    except Exception as error:  # A fault of the owner's must not cost the link.
        future.set_exception(error)


class Window:
    """The order of requests. Each future is settled exactly once, unless its owner gave up.

    Its result is what its reader makes of the answer, so nobody needs a second future for that.
    Time is given by the caller, in seconds of any steady clock. Of the requests that were given up
    the youngest GIVEN_UP_COUNT_MAX are remembered, since their answers may come late.
    """

    __slots__ = ("_given_up", "_queued", "_watchers", "_written", "size")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a window holds at least one request")
        self.size = size
        self._queued: deque[tuple[int, bytes, _Owner, float]] = deque()
        self._written: dict[int, tuple[_Owner, float]] = {}
        self._given_up: dict[int, Late] = {}
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
        self,
        sequence: int,
        frame: bytes,
        future: asyncio.Future[Result],
        read: Reader[Result],
        key: object = None,
        leave_by: float = math.inf,
    ) -> None:
        """Queue a request, which may not be written after `leave_by`, in the clock of `take`."""
        self._queued.append((sequence, frame, (future, read, key), leave_by))

    def take(self, now: float, clock: float) -> list[bytes]:
        """The frames to write now; from here on they count as written. Those whose time by that
        clock is over are NOT_SENT."""
        frames: list[bytes] = []
        while self._queued and len(self._written) < self.size:
            sequence, frame, owner, leave_by = self._queued.popleft()
            if clock > leave_by:
                _tell(owner, NOT_SENT)
            elif not owner[0].done():  # Its owner may have cancelled it while it waited.
                self._written[sequence] = (owner, now)
                frames.append(frame)
        return frames

    def settle(self, sequence: int, answer: Answer) -> bool:
        """False when no written request has this sequence number."""
        written = self._written.pop(sequence, None)
        if written is None:
            return False
        _tell(written[0], answer)
        return True

    def take_late(self, sequence: int) -> Late | None:
        """The request of this number that was given up, once; None when there is none."""
        return self._given_up.pop(sequence, None)

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
        owner, _ = self._written[sequence]
        if len(self._given_up) >= GIVEN_UP_COUNT_MAX:
            del self._given_up[next(iter(self._given_up))]
        self._given_up[sequence] = Late(owner[2])
        self.settle(sequence, LOST)

    def return_queued(self) -> None:
        """Hand back everything not yet written."""
        while self._queued:
            _tell(self._queued.popleft()[2], NOT_SENT)

    def close(self) -> None:
        """The link is gone: what was queued is NOT_SENT, what was written is LOST."""
        self.return_queued()
        for sequence in list(self._written):
            self.settle(sequence, LOST)

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
