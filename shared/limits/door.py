"""The door: how many API requests an account may make in any minute, before anything is read."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import redis.asyncio
import structlog

from shared.runtime import redis_link

WINDOW_SECONDS = 60
REDIS_SECONDS = 0.25
REDIS_PAUSE_SECONDS = 5.0
LOG_EVERY_SECONDS = 60.0
LOT_SECONDS = 8.0
"""How long tokens taken in advance may be used; as in door.lua."""

_SCRIPT = redis_link.Script.read(Path(__file__).with_name("door.lua"))
_log = structlog.get_logger()


class Admission(NamedTuple):
    """Whether a request may pass, how many more may now, and when to come back if not (or 0)."""

    allowed: bool
    remaining: int
    retry_after_seconds: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[Admission], list[tuple[int, int, int]]]).decode


@dataclass(slots=True)
class _Lot:
    """Tokens of one account that this process took in advance, booked in a second of Redis."""

    slot: int
    count: int
    ends_seconds: float


@dataclass(slots=True)
class _Window:
    """One account's last minute in this process: (second, count), oldest first."""

    seconds: deque[tuple[int, int]] = field(default_factory=deque)

    def admit(self, limit: int, now_seconds: float) -> Admission:
        while self.seconds and self.seconds[0][0] + 1 + WINDOW_SECONDS <= now_seconds:
            self.seconds.popleft()
        used = sum(count for _, count in self.seconds)
        if used >= limit:
            return Admission(False, 0, self._retry_after(used + 1 - limit, now_seconds))
        second, count = self.seconds[-1] if self.seconds else (-1, 0)
        if second == int(now_seconds):
            self.seconds[-1] = (second, count + 1)
        else:
            self.seconds.append((int(now_seconds), 1))
        return Admission(True, limit - used - 1, 0)

    def _retry_after(self, excess: int, now_seconds: float) -> int:
        for second, count in self.seconds:
            excess -= count
            if excess <= 0:
                return math.ceil(second + 1 + WINDOW_SECONDS - now_seconds)
        return WINDOW_SECONDS


class Door:
    """Admits API requests; a limit of politeness, so without Redis it counts in this process.

    Never more than the limit in any rolling minute, over all processes while Redis answers and
    in each process while it does not.
    """

    def __init__(
        self,
        link: redis.asyncio.Redis,
        prefix: str = "sluice:door:",
        clock_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._clock_seconds = clock_seconds
        self._lots: dict[int, _Lot] = {}
        self._alone: dict[int, _Window] = {}
        self._redis_pause_ends = -math.inf
        self._next_log = -math.inf

    def admit_at_once(self, account_id: int) -> bool:
        """Let a request in on a token taken in advance; if there is none, `admit` has to decide."""
        lot = self._lots.get(account_id)
        if lot is None or not lot.count or lot.ends_seconds <= self._clock_seconds():
            return False
        lot.count -= 1
        return True

    async def admit(self, requests: Sequence[tuple[int, int]]) -> list[Admission]:
        """Decide (account id, limit per minute) pairs in order, in one round trip. Never raises.

        After Redis failed it is left alone for REDIS_PAUSE_SECONDS, so that requests do not wait.
        """
        now = self._clock_seconds()
        if now >= self._redis_pause_ends:
            try:
                admissions = await self._ask(requests, now)
            except (redis_link.LimiterUnavailable, TimeoutError) as error:
                self._lose_redis(self._clock_seconds(), error)
            else:
                self._alone.clear()
                return admissions
        return [
            self._alone.setdefault(account, _Window()).admit(limit, now)
            for account, limit in requests
        ]

    async def _ask(
        self, requests: Sequence[tuple[int, int]], now_seconds: float
    ) -> list[Admission]:
        keys = [f"{self._prefix}{account}" for account, _ in requests]
        limits = _encode([limit for _, limit in requests])
        unused = _encode(self._unused(requests))
        async with asyncio.timeout(REDIS_SECONDS):
            answer = await _SCRIPT.run(self._link, keys, [limits, unused])
        admissions, lots = _decode(answer)
        for place, slot, count in lots:
            self._lots[requests[place - 1][0]] = _Lot(slot, count, now_seconds + LOT_SECONDS)
        return admissions

    def _unused(self, requests: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """What is left of these accounts' lots, to be given back: (place, slot, count)."""
        return [
            (place, lot.slot, lot.count)
            for place, (account, _) in enumerate(requests, 1)
            if (lot := self._lots.pop(account, None)) and lot.count
        ]

    def _lose_redis(self, now_seconds: float, error: Exception) -> None:
        self._redis_pause_ends = now_seconds + REDIS_PAUSE_SECONDS
        self._alone = {
            account: window
            for account, window in self._alone.items()
            if window.seconds[-1][0] + 1 + WINDOW_SECONDS > now_seconds
        }
        if now_seconds >= self._next_log:
            self._next_log = now_seconds + LOG_EVERY_SECONDS
            _log.warning("door_counts_alone", error=type(error).__name__)
