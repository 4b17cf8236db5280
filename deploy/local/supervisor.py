"""Watches what runs: a process or server that ends is shown and started again, ever more slowly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.local import roles, screen, servers

_POLL_SECONDS = 0.2
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
# One that ran this long is taken for healthy: its next end starts with the first pause again.
_HEALTHY_SECONDS = 60.0
_STOP_SECONDS = 35.0


@dataclass(slots=True)
class Ward:
    """One thing under watch."""

    name: str
    has_ended: Callable[[], bool]
    start: Callable[[], None]
    started_at: float
    pause_seconds: float = _FIRST_PAUSE_SECONDS
    due_at: float | None = None

    def look(self, now: float) -> None:
        """Start it again if it has ended and its pause is over."""
        if self.due_at is None and self.has_ended():
            if now - self.started_at > _HEALTHY_SECONDS:
                self.pause_seconds = _FIRST_PAUSE_SECONDS
            self.due_at = now + self.pause_seconds
            screen.say(f"  {self.name} ended; starting it again in {self.pause_seconds:.0f} s")
            self.pause_seconds = min(self.pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        elif self.due_at is not None and now >= self.due_at:
            self.due_at = None
            self.started_at = now
            self._try_start()

    def _try_start(self) -> None:
        try:
            self.start()
        except screen.Stop as failure:
            screen.say(f"  {failure}")


def watch(workers: Sequence[roles.Worker], stands_on: servers.Servers) -> None:
    """Keep everything running until interrupted."""
    now = time.monotonic()
    wards = [
        Ward(worker.role.name, worker.process.has_ended, worker.start, now) for worker in workers
    ]
    wards += [_server_ward(name, stands_on, now) for name in stands_on.names]
    while True:
        for ward in wards:
            ward.look(time.monotonic())
        time.sleep(_POLL_SECONDS)


def _server_ward(name: str, stands_on: servers.Servers, now: float) -> Ward:
    return Ward(name, lambda: name in stands_on.ended(), lambda: stands_on.restart(name), now)


def stop(workers: Sequence[roles.Worker]) -> None:
    """Let all finish what they have in flight, within their budget."""
    for last in (False, True):
        group = [worker for worker in workers if worker.role.stops_last is last]
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in group:
            worker.process.ask_to_stop()
        for worker in group:
            worker.process.await_end(max(0.1, deadline - time.monotonic()))
