"""A clock that stands still until a test moves it, in place of the one inside the scripts."""

from __future__ import annotations

import re
from pathlib import Path

import redis.asyncio

from shared.runtime import redis_link

KEY = "test:clock"
START_MS = 1_767_225_600_000 + 1_234_567  # some twenty minutes into 2026
_CLOCK = re.compile(r"(local function clock_(?:ms|us)\(\)\n).*?(\nend\n)", re.DOTALL)


def clocked(path: Path, *changes: tuple[str, str]) -> redis_link.Script:
    """The script at `path`, reading KEY instead of Redis time, with texts of it changed."""
    source, count = _CLOCK.subn(
        rf"\1  return tonumber(redis.call('GET', '{KEY}'))\2", path.read_text(encoding="utf-8")
    )
    assert count == 1
    for before, after in changes:
        assert source.count(before) == 1
        source = source.replace(before, after)
    return redis_link.Script(source)


class Clock:
    """Time in milliseconds, or in whatever the script under test counts."""

    def __init__(self, link: redis.asyncio.Redis, now: int = START_MS) -> None:
        self._link = link
        self.now = now

    async def set(self, now: int) -> None:
        self.now = now
        await self._link.set(KEY, now)

    async def advance(self, step: int) -> None:
        await self.set(self.now + step)
