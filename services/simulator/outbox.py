"""Receipts and phones' messages on their way: kept until they are due, and until the other side has
taken them."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from services.simulator import counters, moods

WAITING_MAX = 1_000_000
ATTEMPTS_MAX = 20
RETRY_SECONDS_MAX = 30.0
_BATCH_SECONDS = 0.005


class Receipt(msgspec.Struct, eq=False):
    """One receipt. `submitted_at` is Unix time in seconds; `reference` is the sender's own 16 bits;
    `on_settled` is called once, when the first attempt has ended, well or badly."""

    system_id: str
    message_id: str
    stat: moods.Stat
    source: str
    recipient: str
    submitted_at: float
    reference: bytes = b""
    payload: bytes = b""
    on_settled: Callable[[], None] | None = None
    attempts: int = 0

    def __repr__(self) -> str:
        return f"Receipt({self.message_id}, {self.stat})"


class Inbound(msgspec.Struct, eq=False):
    """One part of what a phone sends; `payload` is in the alphabet of `data_coding`. The rest is as
    with receipts."""

    system_id: str
    source: str
    recipient: str
    data_coding: int
    udh: bytes
    payload: bytes
    on_settled: Callable[[], None] | None = None
    attempts: int = 0

    def __repr__(self) -> str:
        return "Inbound()"


Item = Receipt | Inbound


class Face(Protocol):
    """A way to hand over what is due."""

    def deliver(self, item: Item, settled: Callable[[Item, bool], None]) -> bool:
        """Start handing one over and call `settled` with whether it was taken; False if there is no
        room for it now, and `settled` is then never called."""


class Outbox:
    """All faces' items in one heap by due time, under one timer; no task for any of them.

    At most WAITING_MAX wait: the rest are given up, and counted. One not taken is repeated after
    `retry_seconds`, twice as long each time, ATTEMPTS_MAX times. `before_release` is called before
    anything that is due is handed over.
    """

    def __init__(
        self,
        counts: counters.Counters,
        retry_seconds: float,
        before_release: Callable[[], None],
    ) -> None:
        self._counts = counts
        self._before_release = before_release
        self._retry_seconds = retry_seconds
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, Item]] = []
        self._ready: dict[str, deque[Item]] = {}
        self._faces: dict[str, Face] = {}
        self._number = 0
        self._waiting_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")
        self._closed = False

    @property
    def waiting_count(self) -> int:
        """Items not yet taken by the other side, those being handed over included."""
        return self._waiting_count

    def attach(self, system_id: str, face: Face) -> None:
        """From now on this face hands over the items of this system_id."""
        self._faces[system_id] = face

    def post(self, item: Item, delay_seconds: float) -> None:
        """Take an item to be handed over after that time."""
        if self._waiting_count >= WAITING_MAX:
            self._note(item, "given_up")
            return
        self._waiting_count += 1
        self._schedule(item, delay_seconds)

    def drain(self, system_id: str) -> None:
        """Hand over what is due, as far as there is room. Call it when there may be room again."""
        ready = self._ready.get(system_id)
        face = self._faces.get(system_id)
        if not ready or face is None:
            return
        deliver = face.deliver
        while ready and deliver(ready[0], self._settled):
            ready.popleft()

    def close(self) -> None:
        """Hand over nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, item: Item, what: str) -> None:
        """Count what became of an item."""
        counts = self._counts.of(item.system_id)
        name = f"{'receipts' if isinstance(item, Receipt) else 'inbound'}_{what}"
        setattr(counts, name, getattr(counts, name) + 1)

    def _schedule(self, item: Item, delay_seconds: float) -> None:
        due = self._loop.time() + delay_seconds
        self._number += 1
        heapq.heappush(self._due, (due, self._number, item))
        if due + _BATCH_SECONDS < self._wakes_at:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._closed:
            # A little late, so that neighbours leave together.
            self._wakes_at = self._due[0][0] + _BATCH_SECONDS
            self._timer = self._loop.call_at(self._wakes_at, self._release)

    def _release(self) -> None:
        self._timer, self._wakes_at = None, float("inf")
        self._before_release()
        now = self._loop.time()
        released = set()
        while self._due and self._due[0][0] <= now:
            item = heapq.heappop(self._due)[2]
            self._ready.setdefault(item.system_id, deque()).append(item)
            released.add(item.system_id)
        for system_id in released:
            self.drain(system_id)
        self._arm()

    def _settled(self, item: Item, taken: bool) -> None:
        if item.on_settled is not None:
            item.on_settled()
            item.on_settled = None
        if taken:
            self._note(item, "sent")
            self._waiting_count -= 1
        elif item.attempts == ATTEMPTS_MAX:
            self._note(item, "given_up")
            self._waiting_count -= 1
        elif not self._closed:
            self._note(item, "repeated")
            delay = self._retry_seconds * 2.0 ** min(item.attempts, 10)
            item.attempts += 1
            self._schedule(item, min(delay, RETRY_SECONDS_MAX))
        if not self._closed:
            self.drain(item.system_id)
