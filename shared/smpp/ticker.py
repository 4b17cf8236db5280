"""One periodic look at the clock, which serves all timers of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ticker:
    """A regular call of `look` with the time, but not after this process was stopped for a while:
    what came meanwhile is still unread, so nobody may be judged by it yet."""

    __slots__ = ("_due_at", "_every_seconds", "_handle", "_look", "_loop")

    def __init__(self, every_seconds: float, look: Callable[[float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._every_seconds = every_seconds
        self._look = look
        self._handle: asyncio.TimerHandle | None = None
        self._due_at = 0.0

    def start(self) -> None:
        """Begin, or begin again: the next look is one period away."""
        self.stop()
        self._due_at = self._loop.time() + self._every_seconds
        self._handle = self._loop.call_later(self._every_seconds, self._tick)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        late = now - self._due_at > self._every_seconds
        self.start()
        if not late:
            self._look(now)
