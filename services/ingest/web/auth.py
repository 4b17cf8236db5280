"""Who is asking: from a token to a caller. Wrong tokens cost only who sends them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import asyncpg

from services.ingest.web import uses
from shared.access import keys, tokens
from shared.access.rights import Caller
from shared.db import tokens as stored
from shared.runtime import batching
from shared.web import problems
from shared.web.problems import Refused

CACHE_SECONDS = 1.0
"""How long a token that was revoked may still open the door."""
BELIEVED_SECONDS = 30.0
"""How long a token is believed while no token has changed: then its use is noted again."""
CACHE_COUNT_MAX = 10_000
FAILURE_COUNT_MAX = 100
"""Wrong tokens per minute and address, beyond which its unproven tokens wait in a line apart."""
ADDRESS_COUNT_MAX = 10_000
LOOK_UP_SECONDS = 5.0
LOOK_UP_COUNT = 256
WAITING_COUNT_MAX = 4_096

_VISIBLE = r"([A-Za-z0-9._~+/=-]{1,200})"
_BEARER = re.compile(rf"(?i:bearer) +{_VISIBLE}")
_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/=]{1,400})")
_ID_AND_VISIBLE = re.compile(rf"([0-9]{{1,10}}):{_VISIBLE}")

_LookUps = batching.Batcher[tuple[bytes, ...], stored.Found | None]


def _unauthorized() -> Refused:
    detail = "The request needs a valid token: Authorization: Bearer <token>."
    problem = problems.of(401, "unauthorized", detail, "Authorization")
    return Refused(problem, {"WWW-Authenticate": 'Bearer realm="sluice"'})


class PresentedToken(NamedTuple):
    """A token as a request shows it, and the id that it says the token has, if it says one."""

    token: str
    token_id: int | None = None

    def __repr__(self) -> str:
        return f"PresentedToken(token_id={self.token_id})"


def bearer(authorization: str) -> PresentedToken | None:
    """`Bearer TOKEN`; None for anything else."""
    found = _BEARER.fullmatch(authorization)
    return None if found is None else PresentedToken(found[1])


def basic(authorization: str) -> PresentedToken | None:
    """`Basic`, and `ID:TOKEN` in base64 (RFC 7617); None for anything else."""
    encoded = _BASIC.fullmatch(authorization)
    if encoded is None:
        return None
    try:
        pair = base64.b64decode(encoded[1], validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    found = _ID_AND_VISIBLE.fullmatch(pair)
    return None if found is None else PresentedToken(found[2], int(found[1]))


Scheme = Callable[[str], PresentedToken | None]
"""How a face reads the header; each believes only what it has read itself."""


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


class _Served(NamedTuple):
    caller: Caller
    good_until: float
    change: int
    """The last change of tokens when it was found: after another one it is looked up again."""


class Authenticator:
    """Finds whose a token is; what was found of it is believed as long as no token has changed,
    which is asked once in CACHE_SECONDS for all of them: so many accounts cost no more than one.
    A session is looked up again after CACHE_SECONDS.

    Look-ups go to the database in batches, over two connections at most. A token that carries the
    platform's check, or was good a moment ago, is always looked up at once. So is any other, unless
    its address has sent FAILURE_COUNT_MAX wrong ones: then it waits in a line with its like, served
    over one connection. So guessing holds up nobody but those in that line, and keeps none of them
    out: a good token without a check, behind the address of one who guesses, comes in a little
    later.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        platform: keys.Keys,
        used: uses.Uses,
        clock_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._keys = platform
        self._uses = used
        self._clock_seconds = clock_seconds
        self._served: dict[tuple[Scheme, str], _Served] = {}
        self._line = self._look_ups(concurrency=2)
        self._line_apart = self._look_ups(concurrency=1)
        self._failures = Failures(clock_seconds)
        self._change = 0
        self._change_asked_at = -math.inf
        self._changes = batching.Batcher[None, int](self._ask_change, size=WAITING_COUNT_MAX)

    def _look_ups(self, *, concurrency: int) -> _LookUps:
        return _LookUps(
            self._ask, size=LOOK_UP_COUNT, concurrency=concurrency, waiting=WAITING_COUNT_MAX
        )

    def served(self, authorization: str, scheme: Scheme = bearer) -> Caller | None:
        """Who sends this very header, as was found a moment ago, or None: ask."""
        served = self._served.get((scheme, authorization))
        now = self._clock_seconds()
        if (
            served is None
            or served.good_until <= now
            or served.change != self._change
            or self._change_asked_at + CACHE_SECONDS <= now
        ):
            return None
        return served.caller

    async def caller(self, authorization: str, address: str, scheme: Scheme = bearer) -> Caller:
        """Whose token this header holds. Raises Refused with 401, 429 or 503."""
        presented = scheme(authorization)
        if presented is None:
            raise self._failed(address)
        key = (scheme, authorization)
        change = await self._last_change()
        served = self.served(authorization, scheme)
        if served is not None:
            return served
        asked_at = self._clock_seconds()
        hashes = tokens.hashes(presented.token, self._keys)
        found = await self._look_up(hashes, self._line_of(key, presented.token, address))
        if found is None or presented.token_id not in (None, found.token_id):
            self._served.pop(key, None)
            raise self._failed(address)
        good_seconds = CACHE_SECONDS
        if found.token_id is not None:
            new_hash = None if found.token_hash == hashes[0] else hashes[0]
            self._uses.note(found.token_id, new_hash)
            good_seconds = BELIEVED_SECONDS
        if found.seconds_left is not None:
            good_seconds = min(good_seconds, found.seconds_left)
        self._serve_again(key, _Served(found.caller, asked_at + good_seconds, change))
        return found.caller

    async def _last_change(self) -> int:
        """The number of the last change of tokens, of at most CACHE_SECONDS ago."""
        if self._change_asked_at + CACHE_SECONDS > self._clock_seconds():
            return self._change
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await self._changes.add(None)
        except batching.Overloaded:
            raise problems.unavailable() from None

    async def _ask_change(self, asking: Sequence[None]) -> list[int]:
        """One round trip for all who come while it is under way; who comes during one that began
        before them is told by the next."""
        asked_at = self._clock_seconds()
        if self._change_asked_at + CACHE_SECONDS <= asked_at:
            async with asyncio.timeout(LOOK_UP_SECONDS), self._pool.acquire() as opened:
                self._change = await stored.change(opened)
            self._change_asked_at = asked_at
        return [self._change] * len(asking)

    def _line_of(self, key: tuple[Scheme, str], token: str, address: str) -> _LookUps:
        if not self._failures.blocked_seconds(address) or key in self._served:
            return self._line
        return self._line if tokens.fits(token, self._keys) else self._line_apart

    async def _look_up(self, hashes: tuple[bytes, ...], line: _LookUps) -> stored.Found | None:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return await line.add(hashes)
        except batching.Overloaded:
            raise problems.unavailable() from None

    async def _ask(self, asked: Sequence[tuple[bytes, ...]]) -> list[stored.Found | None]:
        """One round trip for all who ask at the same time."""
        async with asyncio.timeout(LOOK_UP_SECONDS), self._pool.acquire() as opened:
            found = await stored.find(opened, list({each for hashes in asked for each in hashes}))
        return [next((found[each] for each in hashes if each in found), None) for hashes in asked]

    def _serve_again(self, key: tuple[Scheme, str], served: _Served) -> None:
        """Spare the same header its hash and its look-up for as long as it is believed anyway."""
        self._served.pop(key, None)
        self._served[key] = served
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
