"""Pace: a carrier's segments per second, shared by every process that speaks to it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import redis.asyncio

from shared.runtime import redis_link

LEAST_BURST = 5

_SCRIPT = redis_link.Script.read(Path(__file__).with_name("pace.lua"))
_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Pace:
    """An ordinary token bucket per carrier: at most burst + rate * t segments in any t seconds.

    A wiped Redis means full buckets, so one burst more.
    """

    def __init__(self, link: redis.asyncio.Redis, prefix: str = "sluice:pace:") -> None:
        self._link = link
        self._prefix = prefix

    async def take_up_to(
        self, carrier: str, rate_per_second: int, segments: int
    ) -> tuple[int, int]:
        """How many of `segments` may go now, and the milliseconds to wait before asking for more.

        The wait is 0 when all were granted. Raises LimiterUnavailable; then send nothing.
        """
        if rate_per_second < 1 or segments < 1:
            raise ValueError("a pace is at least one segment a second, for at least one segment")
        burst = max(LEAST_BURST, rate_per_second // 10)
        return _decode(
            await _SCRIPT.run(
                self._link, [f"{self._prefix}{carrier}"], [rate_per_second, burst, segments]
            )
        )
