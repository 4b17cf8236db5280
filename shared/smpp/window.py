"""The requests of one session: queued, written, answered; never more than W written unanswered."""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class AnswerKind(StrEnum):
    """How a request ended, as far as anybody can know."""

    ANSWERED = "answered"
    NOT_SENT = "not_sent"  # No byte of it was written: it may safely go elsewhere.
    LOST = "lost"  # Written, but no answer came in time or the link died: nobody can know.


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request; `status` and `message_id` mean something only when ANSWERED."""

    kind: AnswerKind
    status: int = 0
    message_id: str = ""


NOT_SENT = Answer(AnswerKind.NOT_SENT)
LOST = Answer(AnswerKind.LOST)


class Window:
    """Keeps the order of requests. Each future is settled exactly once, unless its owner gave up.

    Time is given by the caller, in seconds of any steady clock.
    """

    __slots__ = ("_queued", "_watchers", "_written", "size")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a window holds at least one request")
        self.size = size
        self._queued: deque[tuple[int, bytes, asyncio.Future[Answer]]] = deque()
        self._written: dict[int, tuple[asyncio.Future[Answer], float]] = {}
        self._watchers: list[asyncio.Future[None]] = []

    @property
    def room(self) -> int:
        """Requests that could be written at once; never negative."""
        return max(0, self.size - len(self._written) - len(self._queued))

    @property
    def queued(self) -> int:
        return len(self._queued)

    @property
    def unanswered(self) -> int:
        return len(self._written)

    def put(self, sequence: int, frame: bytes, future: asyncio.Future[Answer]) -> None:
        self._queued.append((sequence, frame, future))

    def take(self, now: float) -> list[bytes]:
        """The frames to write now; from here on they count as written."""
        frames: list[bytes] = []
        while self._queued and len(self._written) < self.size:
            sequence, frame, future = self._queued.popleft()
            if not future.done():  # Its owner may have cancelled it while it waited.
                self._written[sequence] = (future, now)
                frames.append(frame)
        return frames

    def settle(self, sequence: int, answer: Answer) -> bool:
        """False when no written request has this sequence number."""
        written = self._written.pop(sequence, None)
        if written is None:
            return False
        if not written[0].done():
            written[0].set_result(answer)
        return True

    def expire(self, written_before: float) -> int:
        """Gives up on requests written before that time; returns how many."""
        late: list[int] = []
        for sequence, (_, written_at) in self._written.items():
            if written_at >= written_before:
                break  # Written in this order, so all others are younger.
            late.append(sequence)
        for sequence in late:
            self.settle(sequence, LOST)
        return len(late)

    def return_queued(self) -> None:
        """Hands back everything not yet written."""
        while self._queued:
            _, _, future = self._queued.popleft()
            if not future.done():
                future.set_result(NOT_SENT)

    def close(self) -> None:
        """The link is gone: what was queued is NOT_SENT, what was written is LOST."""
        self.return_queued()
        for sequence in list(self._written):
            self.settle(sequence, LOST)

    async def changed(self) -> None:
        """Returns at the next `wake`."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append(watcher)
        await watcher

    def wake(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)
