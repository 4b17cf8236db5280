"""Passwords are hashed beside the event loop, a few at a time: each takes a core and its memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shared.access import passwords
from shared.web import problems

AT_ONCE_COUNT = 2
WAITING_COUNT_MAX = 32
"""Together a few seconds of work; whoever comes then is told to come again."""

Result = TypeVar("Result")


class Passwords:
    """Makes and checks hashes of passwords, AT_ONCE_COUNT at a time."""

    def __init__(self, cost: passwords.Cost) -> None:
        self.cost = cost
        self._threads = ThreadPoolExecutor(AT_ONCE_COUNT, "argon2")
        self._waiting_count = 0
        self._nobodys: str | None = None

    async def make(self, password: str) -> str:
        """The hash to store. Raises Refused with 503 when too many wait."""
        return await self._run(lambda: passwords.make(password, self.cost))

    async def fits(self, password: str, stored: str | None) -> bool:
        """Whether it is the password of the stored hash; against None it takes as long, and is not.
        Raises Refused with 503 when too many wait."""
        if stored is not None:
            return await self._run(lambda: passwords.fits(password, stored, self.cost))
        nobodys = self._nobodys or await self.make("the password of nobody")
        self._nobodys = nobodys
        await self._run(lambda: passwords.fits(password, nobodys, self.cost))
        return False

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting_count >= WAITING_COUNT_MAX:
            raise problems.unavailable()
        self._waiting_count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting_count -= 1

    def close(self) -> None:
        """Hash nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
