"""The way in: which account a request belongs to, and whether it may come in now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import msgspec
from aiohttp import web

from services.ingest.accept import Acceptor
from services.ingest.departures import DepartureForecasts
from services.ingest.web import auth, turns, waiters
from shared.access import keys, seals, vault
from shared.db import connection, watch
from shared.limits import door, permits
from shared.rules import snapshot
from shared.runtime import batching
from shared.web import addresses, problems

ADMISSIONS_COUNT_MAX = 256
TRANSACTION_SECONDS = 5.0

_Admissions = batching.Batcher[tuple[int, int], door.Admission]


@dataclass(frozen=True)
class Context:
    """What the handlers stand on; fingerprints are made with `keys`."""

    pool: asyncpg.Pool
    watch: watch.Watch
    acceptor: Acceptor
    authenticator: auth.Authenticator
    door: door.Door
    keys: keys.Keys
    vault: vault.Vault
    seals: seals.Seals
    proxies: addresses.Proxies
    waiters: waiters.Waiters
    permits: permits.Permits
    departures: DepartureForecasts
    lists: turns.Turns = field(default_factory=turns.Turns)
    admissions: _Admissions = field(init=False)

    def __post_init__(self) -> None:
        # Requests that come together go through the door in one round trip.
        admissions = _Admissions(self.door.admit, size=ADMISSIONS_COUNT_MAX)
        object.__setattr__(self, "admissions", admissions)


class Visit(msgspec.Struct, frozen=True):
    """A request that was let in."""

    request: web.Request
    context: Context
    account: snapshot.Account

    @property
    def account_id(self) -> int:
        """Whose request it is; every query is bound to it."""
        return self.account.account_id

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[connection.Connection]:
        """A transaction that is short, or raises TimeoutError."""
        async with (
            asyncio.timeout(TRANSACTION_SECONDS),
            self.context.pool.acquire() as opened,
            opened.transaction(),
        ):
            yield opened


class TooManyRequests(problems.Refused):
    """The account has made as many requests as it may in a minute."""

    def __init__(self, limit_per_minute: int, retry_after_seconds: int) -> None:
        detail = f"The account may make {limit_per_minute} requests a minute."
        super().__init__(
            problems.of(429, "too_many_requests", detail),
            {"Retry-After": str(retry_after_seconds)},
        )
        self.limit_per_minute = limit_per_minute
        self.retry_after_seconds = retry_after_seconds


async def enter(context: Context, request: web.Request, scheme: auth.Scheme = auth.bearer) -> Visit:
    """Let a request in. Raises Refused: 401, 429 with Retry-After, or 503."""
    account_id = await _asking(context, request, scheme)
    account = context.watch.current.accounts.get(account_id)
    if account is None:
        # Created a moment ago: its token is known before this process's configuration is.
        await context.watch.refresh()
        account = context.watch.current.accounts.get(account_id)
        if account is None:
            raise problems.unavailable()
    if not context.door.admit_at_once(account_id):
        await _ask_door(context, account)
    return Visit(request, context, account)


async def _asking(context: Context, request: web.Request, scheme: auth.Scheme = auth.bearer) -> int:
    authorization = request.headers.get("Authorization", "")
    account_id = context.authenticator.served(authorization, scheme)
    if account_id is None:
        account_id = await context.authenticator.account_id(
            authorization, addresses.caller(context.proxies.client_of(request)), scheme
        )
    return account_id


async def check_again(visit: Visit) -> None:
    """Raises Refused if the token of a request that has waited is good no more."""
    await _asking(visit.context, visit.request)


async def _ask_door(context: Context, account: snapshot.Account) -> None:
    try:
        admission = await context.admissions.add((account.account_id, account.requests_per_minute))
    except batching.Overloaded:
        raise problems.unavailable() from None
    if not admission.allowed:
        raise TooManyRequests(account.requests_per_minute, admission.retry_after_seconds)
