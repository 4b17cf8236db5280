"""How long requests wait for their answer: one clock for all who wait equally long."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar

Result = TypeVar("Result")

LOOK_SECONDS = 1.0


class Patience:
    """Ends with TimeoutError what is not done `seconds` after it came, up to `look_seconds` late.

    A timer of its own for each would cost more than the waiting itself.
    """

    def __init__(self, seconds: float, look_seconds: float = LOOK_SECONDS) -> None:
        self._seconds = seconds
        self._look_seconds = look_seconds
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def ends(self, future: asyncio.Future[Result]) -> asyncio.Future[Result]:
        """The same future, which now ends in time."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._seconds, future))
        if self._timer is None:
            self._timer = loop.call_later(self._look_seconds, self._look)
        return future

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting:
            deadline, future = self._waiting[0]
            if not future.done():
                if deadline > now:
                    break
                future.set_exception(TimeoutError())
            self._waiting.popleft()
        again = bool(self._waiting)
        self._timer = loop.call_later(self._look_seconds, self._look) if again else None
