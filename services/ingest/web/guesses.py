"""Attempts to sign in, counted for all processes before they are judged: guessing is slow."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

import asyncpg

from shared.access.keys import Keys
from shared.db import sessions as stored
from shared.web import problems
from shared.web.problems import Refused

WINDOW: Final = timedelta(minutes=15)
USER_COUNT_MAX: Final = 10
"""Wrong passwords for one user in a window, whoever sends them; the user may not exist."""
ADDRESS_COUNT_MAX: Final = 50
"""Wrong passwords from one address in a window, whomever they are for."""
CONNECTION_COUNT: Final = 2
WAITING_COUNT_MAX: Final = 64
REMEMBERED_COUNT_MAX: Final = 10_000
COUNT_SECONDS: Final = 5.0


class SignIn(NamedTuple):
    """Who tries to be whom. Both are keyed hashes: neither is stored in clear."""

    address: bytes
    user: bytes

    @classmethod
    def of(cls, keys: Keys, address: str, account: str, email: str) -> SignIn:
        """An attempt from this address to be this user of this account."""
        return cls(
            keys.sign(f"sign in from:{address}".encode()),
            keys.sign(f"sign in as:{account}\0{email}".encode()),
        )


class Guesses:
    """Counts attempts in the database. A flood of them holds CONNECTION_COUNT connections at most,
    and whoever is known to have tried too often is told so from memory."""

    def __init__(
        self, pool: asyncpg.Pool, clock_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._clock_seconds = clock_seconds
        self._places = asyncio.Semaphore(CONNECTION_COUNT)
        self._waiting_count = 0
        self._blocked_until: dict[bytes, float] = {}

    async def count(self, attempt: SignIn) -> None:
        """Count an attempt whose end nobody knows yet. Raises Refused: 429 if there were too many
        from this address or for this user, 503 if too many wait. An address that is over its count
        is not counted against users: it cannot shut them out."""
        self._check_remembered(attempt)
        if self._waiting_count >= WAITING_COUNT_MAX:
            raise problems.unavailable()
        self._waiting_count += 1
        try:
            async with asyncio.timeout(COUNT_SECONDS), self._places:
                await self._count(attempt)
        finally:
            self._waiting_count -= 1

    def _check_remembered(self, attempt: SignIn) -> None:
        now = self._clock_seconds()
        for subject in attempt:
            seconds_left = self._blocked_until.get(subject, now) - now
            if seconds_left > 0:
                raise _too_many(seconds_left)
            self._blocked_until.pop(subject, None)

    async def _count(self, attempt: SignIn) -> None:
        for subject, count_max in (
            (attempt.address, ADDRESS_COUNT_MAX),
            (attempt.user, USER_COUNT_MAX),
        ):
            async with self._pool.acquire() as opened:
                tried = await stored.count_attempt(opened, subject, WINDOW)
            if tried.attempt_count > count_max:
                self._remember(subject, tried.seconds_left)
                raise _too_many(tried.seconds_left)

    def _remember(self, subject: bytes, seconds: float) -> None:
        self._blocked_until[subject] = self._clock_seconds() + seconds
        if len(self._blocked_until) > REMEMBERED_COUNT_MAX:
            del self._blocked_until[next(iter(self._blocked_until))]

    async def forgive(self, attempt: SignIn) -> None:
        """The password was right: this attempt was no guess, and those for this user are over."""
        async with asyncio.timeout(COUNT_SECONDS), self._pool.acquire() as opened:
            await stored.forgive(opened, attempt.address, 1)
            await stored.forgive(opened, attempt.user, USER_COUNT_MAX)


def _too_many(seconds: float) -> Refused:
    detail = "Too many passwords were tried. Sessions and tokens that are good stay good."
    # Clocks of transactions that overlap differ a little.
    whole_seconds = max(1, min(math.ceil(seconds), int(WINDOW.total_seconds())))
    return Refused(
        problems.of(429, "too_many_sign_ins", detail), {"Retry-After": str(whole_seconds)}
    )
