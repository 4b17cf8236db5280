"""Turns at what may keep the database busy: one an account at a time, and few in all, so that no
account's reading takes the connections by which the others send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

COUNT_MAX = 3
"""Accounts that read at the same time, in one process."""


class Turns:
    """Who may read now."""

    def __init__(self, count_max: int = COUNT_MAX) -> None:
        self._all = asyncio.Semaphore(count_max)
        self._own: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, account_id: int) -> AsyncIterator[None]:
        """Wait for the account's turn, in the order of asking, and have it until the body ends."""
        own = self._own.setdefault(account_id, asyncio.Lock())
        async with own, self._all:
            yield
