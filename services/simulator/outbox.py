"""Receipts on their way: kept until they are due, and until the other side has taken them."""

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


class Face(Protocol):
    """A way to hand receipts over."""

    def deliver(self, receipt: Receipt, settled: Callable[[Receipt, bool], None]) -> bool:
        """Start handing one over and call `settled` with whether it was taken; False if there is no
        room for it now, and `settled` is then never called."""


class Outbox:
    """All faces' receipts in one heap by due time, under one timer; no task for any of them.

    At most WAITING_MAX wait: the rest are given up, and counted. One not taken is repeated after
    `retry_seconds`, twice as long each time, ATTEMPTS_MAX times.
    """

    def __init__(self, counts: counters.Counters, retry_seconds: float) -> None:
        self._counts = counts
        self._retry_seconds = retry_seconds
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, Receipt]] = []
        self._ready: dict[str, deque[Receipt]] = {}
        self._faces: dict[str, Face] = {}
        self._number = 0
        self._waiting_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = float("inf")
        self._closed = False

    @property
    def waiting_count(self) -> int:
        """Receipts not yet taken by the other side, those being handed over included."""
        return self._waiting_count

    def attach(self, system_id: str, face: Face) -> None:
        """From now on this face hands over the receipts of this system_id."""
        self._faces[system_id] = face

    def post(self, receipt: Receipt, delay_seconds: float) -> None:
        """Take a receipt to be handed over after that time."""
        if self._waiting_count >= WAITING_MAX:
            self._counts.of(receipt.system_id).receipts_given_up += 1
            return
        self._waiting_count += 1
        self._schedule(receipt, delay_seconds)

    def drain(self, system_id: str) -> None:
        """Hand over what is due, as far as there is room. Call it when there may be room again."""
        ready = self._ready.get(system_id)
        if not ready:
            return
        deliver = self._faces[system_id].deliver
        while ready and deliver(ready[0], self._settled):
            ready.popleft()

    def close(self) -> None:
        """Hand over nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self, receipt: Receipt, delay_seconds: float) -> None:
        due = self._loop.time() + delay_seconds
        self._number += 1
        heapq.heappush(self._due, (due, self._number, receipt))
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
        now = self._loop.time()
        released = set()
        while self._due and self._due[0][0] <= now:
            receipt = heapq.heappop(self._due)[2]
            self._ready.setdefault(receipt.system_id, deque()).append(receipt)
            released.add(receipt.system_id)
        for system_id in released:
            self.drain(system_id)
        self._arm()

    def _settled(self, receipt: Receipt, taken: bool) -> None:
        if receipt.on_settled is not None:
            receipt.on_settled()
            receipt.on_settled = None
        counts = self._counts.of(receipt.system_id)
        if taken:
            counts.receipts_sent += 1
            self._waiting_count -= 1
        elif receipt.attempts == ATTEMPTS_MAX:
            counts.receipts_given_up += 1
            self._waiting_count -= 1
        elif not self._closed:
            counts.receipts_repeated += 1
            delay = self._retry_seconds * 2.0 ** min(receipt.attempts, 10)
            receipt.attempts += 1
            self._schedule(receipt, min(delay, RETRY_SECONDS_MAX))
        if not self._closed:
            self.drain(receipt.system_id)
