"""When tokens were last used: kept here, and written down once a minute for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import asyncpg

from shared.db import tokens
from shared.db.pool import ACQUIRE_SECONDS

WRITE_SECONDS = 60.0
TOKEN_COUNT_MAX = 10_000
"""Tokens noted between two writings; further ones are noted when they are used again."""


class _Noted(NamedTuple):
    at_seconds: float
    new_hash: bytes | None


class Uses:
    """The tokens used in this process since the last writing: one UPDATE a minute, whatever the
    requests. A process that dies loses that minute: a token may then seem unused for so long, and
    go over to a new key at its next use."""

    def __init__(self, pool: asyncpg.Pool, clock_seconds: Callable[[], float] = time.monotonic):
        self._pool = pool
        self._clock_seconds = clock_seconds
        self._noted: dict[int, _Noted] = {}

    def note(self, token_id: int, new_hash: bytes | None) -> None:
        """A token was used now; `new_hash` if it is stored under a key that no longer signs."""
        if token_id in self._noted or len(self._noted) < TOKEN_COUNT_MAX:
            self._noted[token_id] = _Noted(self._clock_seconds(), new_hash)

    async def write(self) -> None:
        """Write down what was noted. What cannot be written now is kept for the next time."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        now = self._clock_seconds()
        uses = [
            tokens.Use(token_id, now - use.at_seconds, use.new_hash)
            for token_id, use in noted.items()
        ]
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await tokens.note(opened, uses)
        except BaseException:
            self._noted = noted | self._noted
            raise
