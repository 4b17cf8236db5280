"""Who is asking: from a bearer token to an account, with guessing held down."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable

import asyncpg

from shared.db import tokens
from shared.web import problems
from shared.web.problems import Refused

CACHE_SECONDS = 1.0
"""How long a token that was withdrawn may still open the door."""
CACHE_COUNT_MAX = 10_000
FAILURE_COUNT_MAX = 100
"""Wrong tokens per minute and address, beyond which only tokens known to be good are served."""
ADDRESS_COUNT_MAX = 10_000
LOOK_UP_SECONDS = 5.0

_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/=-]{1,200})")


def _unauthorized() -> Refused:
    detail = "The request needs a valid token: Authorization: Bearer <token>."
    problem = problems.of(401, "unauthorized", detail, "Authorization")
    return Refused(problem, {"WWW-Authenticate": 'Bearer realm="sluice"'})


class Failures:
    """Counts failures per address in windows of a minute; the oldest addresses make room."""

    def __init__(self, clock_seconds: Callable[[], float]) -> None:
        self._clock_seconds = clock_seconds
        self._windows: dict[str, tuple[float, int]] = {}

    def add(self, address: str) -> None:
        """Count one failure."""
        now = self._clock_seconds()
        ends, count = self._windows.pop(address, (now + 60, 0))
        if ends <= now:
            ends, count = now + 60, 0
        self._windows[address] = (ends, count + 1)
        if len(self._windows) > ADDRESS_COUNT_MAX:
            del self._windows[next(iter(self._windows))]

    def blocked_seconds(self, address: str) -> float:
        """How long the address has to wait; 0 when it has not."""
        ends, count = self._windows.get(address, (0.0, 0))
        return max(0.0, ends - self._clock_seconds()) if count >= FAILURE_COUNT_MAX else 0.0


class Authenticator:
    """Finds the account of a token; what was found, or not, is believed for CACHE_SECONDS."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        secret_key: str,
        clock_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._secret_key = secret_key
        self._clock_seconds = clock_seconds
        self._known: dict[bytes, tuple[int | None, float]] = {}
        self._served: dict[str, tuple[int, float]] = {}
        self._look_ups: dict[bytes, asyncio.Task[int | None]] = {}
        self._failures = Failures(clock_seconds)

    async def account_id(self, authorization: str, address: str) -> int:
        """The account whose token this header holds. Raises Refused with 401 or 429."""
        served_id, fresh_until = self._served.get(authorization, (0, 0.0))
        if fresh_until > self._clock_seconds():
            return served_id
        presented = _BEARER.fullmatch(authorization)
        if presented is None:
            raise self._failed(address)
        digest = tokens.digest(presented[1], self._secret_key)
        account_id, fresh_until = self._known.get(digest, (None, 0.0))
        if fresh_until <= self._clock_seconds():
            # A token that was good a moment ago is asked for even from a blocked address.
            if account_id is None and self._failures.blocked_seconds(address):
                raise self._failed(address)
            account_id = await self._look_up(digest)
        if account_id is None:
            raise self._failed(address)
        self._serve_again(authorization, digest, account_id)
        return account_id

    def _serve_again(self, authorization: str, digest: bytes, account_id: int) -> None:
        """Spare the same header its hash for as long as its token is believed anyway."""
        _, fresh_until = self._known.get(digest, (None, 0.0))
        self._served.pop(authorization, None)
        self._served[authorization] = (account_id, fresh_until)
        if len(self._served) > CACHE_COUNT_MAX:
            del self._served[next(iter(self._served))]

    def _failed(self, address: str) -> Refused:
        """What to tell a request that brought no good token."""
        blocked_seconds = self._failures.blocked_seconds(address)
        if not blocked_seconds:
            self._failures.add(address)
            return _unauthorized()
        return Refused(
            problems.of(429, "too_many_failures", "Too many wrong tokens from this address."),
            {"Retry-After": str(math.ceil(blocked_seconds))},
        )

    async def _look_up(self, digest: bytes) -> int | None:
        """Ask the database, once for all who ask at the same time."""
        look_up = self._look_ups.get(digest)
        if look_up is None:
            look_up = asyncio.create_task(self._ask(digest))
            self._look_ups[digest] = look_up
            look_up.add_done_callback(lambda done: self._asked(digest, done))
        # One caller that goes away must not take the others' answer with it.
        return await asyncio.shield(look_up)

    async def _ask(self, digest: bytes) -> int | None:
        async with asyncio.timeout(LOOK_UP_SECONDS), self._pool.acquire() as opened:
            account_id = await tokens.account_of(opened, digest)
        self._known.pop(digest, None)
        self._known[digest] = (account_id, self._clock_seconds() + CACHE_SECONDS)
        if len(self._known) > CACHE_COUNT_MAX:
            del self._known[next(iter(self._known))]
        return account_id

    def _asked(self, digest: bytes, done: asyncio.Task[int | None]) -> None:
        del self._look_ups[digest]
        if not done.cancelled():
            done.exception()  # Whoever waited has it; nobody may have.
