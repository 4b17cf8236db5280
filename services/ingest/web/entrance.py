"""The way in: who makes a request, whether they may make it, and whether it may come in now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import msgspec
from aiohttp import web

from services.ingest.accept import Acceptor
from services.ingest.departures import DepartureForecasts
from services.ingest.settling import Settler
from services.ingest.web import auth, guesses, passwords, showcase, turns, waiters
from shared.access import keys, rights, seals, vault
from shared.db import connection, watch
from shared.limits import door, permits
from shared.rules import snapshot
from shared.runtime import batching
from shared.web import addresses, problems

ADMISSIONS_COUNT_MAX = 256
TRANSACTION_SECONDS = 5.0
LISTING_SECONDS = 5.0

_Admissions = batching.Batcher[tuple[int, int], door.Admission]


@dataclass(frozen=True)
class Context:
    """What the handlers stand on; fingerprints are made with `keys`. `public_url`: where producers
    reach the API, for links; "": where the request has. `settler` is None where no cards are
    taken."""

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
    passwords: passwords.Passwords
    guesses: guesses.Guesses
    public_url: str = ""
    settler: Settler | None = None
    lists: turns.Turns = field(default_factory=turns.Turns)
    printing: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, 1))
    showcase: showcase.Showcase = field(default_factory=showcase.Showcase)
    senders: turns.Turns = field(default_factory=turns.Turns)
    admissions: _Admissions = field(init=False)

    def __post_init__(self) -> None:
        # Requests that come together go through the door in one round trip.
        admissions = _Admissions(self.door.admit, size=ADMISSIONS_COUNT_MAX)
        object.__setattr__(self, "admissions", admissions)


class Passage(msgspec.Struct, frozen=True):
    """A request of anybody, for what is no account's yet."""

    request: web.Request
    context: Context

    @property
    def address(self) -> str:
        """Where it comes from."""
        return addresses.caller(self.context.proxies.client_of(self.request))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[connection.Connection]:
        """A transaction that is short, or raises TimeoutError."""
        async with (
            asyncio.timeout(TRANSACTION_SECONDS),
            self.context.pool.acquire() as opened,
            opened.transaction(),
        ):
            yield opened


class Visit(Passage, frozen=True):
    """A request that was let in."""

    account: snapshot.Account
    caller: rights.Caller
    need: rights.Need
    scheme: auth.Scheme

    @property
    def account_id(self) -> int:
        """Whose request it is; every query is bound to it."""
        return self.account.account_id

    @asynccontextmanager
    async def listing(self) -> AsyncIterator[connection.Connection]:
        """A connection for what may take a while, when it is the account's turn; or raises
        TimeoutError."""
        async with (
            asyncio.timeout(LISTING_SECONDS),
            self.context.lists.turn(self.account_id),
            self.context.pool.acquire() as opened,
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


class NoRight(problems.Refused):
    """Whoever asks is known, and may not do this. Nothing was read or stored."""

    def __init__(self, denial: rights.Denial, caller: rights.Caller, need: rights.Need) -> None:
        super().__init__(problems.of(403, denial, _DETAILS[denial](caller, need)))


_DETAILS: Mapping[rights.Denial, Callable[[rights.Caller, rights.Need], str]] = {
    rights.Denial.MAIN_ACCOUNT_ONLY: lambda _caller, _need: (
        "This answers to a main account only, and not to its sub-accounts."
    ),
    rights.Denial.SCOPE_MISSING: lambda caller, need: (
        f"This needs a token with the scope {need.scope}; this one has: "
        f"{', '.join(sorted(caller.scopes))}."
    ),
    rights.Denial.ROLE_MISSING: lambda caller, _need: f"A {caller.role} may not do this.",
    rights.Denial.SESSION_NEEDED: lambda _caller, _need: (
        "No token does this: it needs a user who has signed in, at POST /v1/sessions."
    ),
}


async def enter(
    context: Context, request: web.Request, need: rights.Need, scheme: auth.Scheme = auth.bearer
) -> Visit:
    """Let a request in. Raises Refused: 401, 403, 429 with Retry-After, or 503."""
    caller = await _asking(context, request, scheme)
    account = await _account_of(context, caller)
    _check_right(caller, account, need)
    if not context.door.admit_at_once(account.account_id):
        await _ask_door(context, account)
    return Visit(request, context, account, caller, need, scheme)


async def _asking(context: Context, request: web.Request, scheme: auth.Scheme) -> rights.Caller:
    authorization = request.headers.get("Authorization", "")
    caller = context.authenticator.served(authorization, scheme)
    if caller is None:
        caller = await context.authenticator.caller(
            authorization, addresses.caller(context.proxies.client_of(request)), scheme
        )
    return caller


async def _account_of(context: Context, caller: rights.Caller) -> snapshot.Account:
    account = context.watch.current.accounts.get(caller.account_id)
    if account is None:
        # Created a moment ago: its token is known before this process's configuration is.
        await context.watch.refresh()
        account = context.watch.current.accounts.get(caller.account_id)
        if account is None:
            raise problems.unavailable()
    return account


def _check_right(caller: rights.Caller, account: snapshot.Account, need: rights.Need) -> None:
    denial = rights.denial(caller, need, is_main=account.is_main)
    if denial is not None:
        raise NoRight(denial, caller, need)


async def check_again(visit: Visit) -> None:
    """Raises Refused if whoever made a request that has waited may make it no more."""
    caller = await _asking(visit.context, visit.request, visit.scheme)
    _check_right(caller, visit.account, visit.need)


async def _ask_door(context: Context, account: snapshot.Account) -> None:
    try:
        admission = await context.admissions.add((account.account_id, account.requests_per_minute))
    except batching.Overloaded:
        raise problems.unavailable() from None
    if not admission.allowed:
        raise TooManyRequests(account.requests_per_minute, admission.retry_after_seconds)
