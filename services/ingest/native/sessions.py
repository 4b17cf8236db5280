"""Sessions: a user signs in with a password, and has a token for an hour. Guessing is slow."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final
from uuid import UUID

from aiohttp import web

from services.ingest.native import answers, requests, user_shapes
from services.ingest.native.user_shapes import SignIn
from services.ingest.web import auth, bodies
from services.ingest.web.entrance import Passage, Visit
from shared.access import passwords
from shared.access import tokens as values
from shared.db import sessions as stored
from shared.db import users
from shared.web import problems
from shared.web.problems import Problem, Refused

SIZE_MAX: Final = 4 * 1024
"""Octets that are read of whoever has not said yet who they are."""
LASTS: Final = timedelta(hours=1)
WINDOW: Final = timedelta(minutes=15)
USER_COUNT_MAX: Final = 10
"""Wrong passwords for one user in a window, whoever sends them; the user may not exist."""
ADDRESS_COUNT_MAX: Final = 50
"""Wrong passwords from one address in a window, whomever they are for."""


async def sign_in(passage: Passage) -> web.Response:
    """A session of whoever knows the password: 201 with its token. Attempts are counted before they
    are judged, so that many at once are no more than one after the other."""
    raw = await bodies.read(passage.request, SIZE_MAX)
    body = requests.decode(user_shapes.sign_in_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    if fault := requests.unstorable("account", body.account):
        raise Refused(fault)
    email = email_of(body.email)
    await count_attempt(passage, body.account, email)
    async with passage.transaction() as opened:
        known = await users.credentials(opened, body.account, email)
    hashing = passage.context.passwords
    if not await hashing.fits(body.password, known and known.password_hash) or known is None:
        raise _wrong()
    return await _begin(passage, body, known)


async def _begin(passage: Passage, body: SignIn, known: users.Credentials) -> web.Response:
    keys = passage.context.keys
    value = values.make(keys, narrow=True)
    token_hash, *_ = values.hashes(value, keys)
    user = known.user
    async with passage.transaction() as opened:
        expires_at = await stored.begin(
            opened, user.user_id, known.password_hash, token_hash, LASTS
        )
        await stored.forgive(opened, _forgiven(passage, body.account, user.email))
    if expires_at is None:
        # Another password, or no such user any more, since a moment ago.
        raise problems.unavailable()
    await _renew(passage, body.password, known)
    answer = user_shapes.SignedIn(token=value, expires_at=expires_at, user=user_shapes.shown(user))
    return answers.response(answer, 201)


async def _renew(passage: Passage, password: str, known: users.Credentials) -> None:
    """Store the hash at the cost that is set now, if it was made at another."""
    hashing = passage.context.passwords
    if passwords.is_outdated(known.password_hash, hashing.cost):
        made = await hashing.make(password)
        async with passage.transaction() as opened:
            await users.rehash(opened, known.user.user_id, known.password_hash, made)


def email_of(given: str) -> str:
    """An address as it is stored. Raises Refused: a pattern lets a line's end through."""
    if not given.isprintable():
        raise Refused(problems.of(422, "invalid_email", "Not an address.", "email"))
    return given.lower()


async def count_attempt(passage: Passage, account: str, email: str) -> None:
    """Raises Refused, 429, if there have been too many for this user or from this address."""
    user, address = _subjects(passage, account, email)
    async with passage.transaction() as opened:
        found = await stored.count_attempt(opened, (user, address), WINDOW)
    waits = [
        found[subject].seconds_left
        for subject, count_max in ((user, USER_COUNT_MAX), (address, ADDRESS_COUNT_MAX))
        if found[subject].attempt_count > count_max
    ]
    if waits:
        detail = "Too many passwords were tried. Sessions and tokens that are good stay good."
        raise Refused(
            problems.of(429, "too_many_sign_ins", detail),
            {"Retry-After": str(_whole_seconds(max(waits)))},
        )


def _whole_seconds(seconds: float) -> int:
    """Between one and the window: clocks of transactions that overlap differ a little."""
    return max(1, min(math.ceil(seconds), int(WINDOW.total_seconds())))


async def forgive_attempts(passage: Passage, account: str, email: str) -> None:
    """The password was right: this attempt was no guess, and none of this user's were."""
    async with passage.transaction() as opened:
        await stored.forgive(opened, _forgiven(passage, account, email))


def _forgiven(passage: Passage, account: str, email: str) -> list[tuple[bytes, int]]:
    user, address = _subjects(passage, account, email)
    return [(user, USER_COUNT_MAX), (address, 1)]


def _subjects(passage: Passage, account: str, email: str) -> tuple[bytes, bytes]:
    """The user and the address as they are counted: neither is stored in clear."""
    sign = passage.context.keys.sign
    user = f"sign in as:{account}\0{email}"
    return sign(user.encode()), sign(f"sign in from:{passage.address}".encode())


def _wrong() -> Refused:
    """The same for a wrong password, for no such user and for no such account."""
    problem = problems.of(401, "wrong_credentials", "No user has this address and this password.")
    return Refused(problem, {"WWW-Authenticate": 'Bearer realm="sluice"'})


async def sign_out(visit: Visit) -> web.Response:
    """No session any more: within a second no process lets its token in."""
    async with visit.transaction() as opened:
        await stored.end(opened, own_hashes(visit))
    return web.Response(status=204)


async def change_password(visit: Visit) -> web.Response:
    """Another password for whoever knows the one before; this session goes on, others end."""
    raw = await bodies.read(visit.request, SIZE_MAX)
    body = requests.decode(user_shapes.password_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    user_id = _user_id(visit)
    async with visit.transaction() as opened:
        user = await users.get(opened, visit.account_id, user_id)
        before = await users.password_hash(opened, user_id)
    if user is None:
        raise _wrong()
    check_password(body.password, user.email)
    await count_attempt(visit, visit.account.name, user.email)
    if not await visit.context.passwords.fits(body.current_password, before):
        detail = "This is not the password that you have now."
        raise Refused(problems.of(422, "wrong_password", detail, "current_password"))
    made = await visit.context.passwords.make(body.password)
    await forgive_attempts(visit, visit.account.name, user.email)
    async with visit.transaction() as opened:
        await users.change(
            opened, visit.account_id, user_id, password_hash=made, keep=own_hashes(visit)
        )
    return web.Response(status=204)


def check_password(password: str, email: str) -> None:
    """Raises Refused for what cannot be this user's password."""
    if fault := passwords.fault(password, email):
        raise Refused(problems.of(422, "invalid_password", fault, "password"))


def own_hashes(visit: Visit) -> tuple[bytes, ...]:
    """The hashes under which the session of this visit may be stored."""
    presented = auth.bearer(visit.request.headers.get("Authorization", ""))
    return () if presented is None else values.hashes(presented.token, visit.context.keys)


def _user_id(visit: Visit) -> UUID:
    if visit.caller.user_id is None:
        raise AssertionError("no token comes here")
    return visit.caller.user_id
