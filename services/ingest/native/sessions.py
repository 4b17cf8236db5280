"""Sessions: a user signs in with a password, and has a token for an hour. Guessing is slow."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from aiohttp import web

from services.ingest.native import answers, requests, user_shapes
from services.ingest.web import auth, bodies
from services.ingest.web.entrance import Passage, Visit
from services.ingest.web.guesses import SignIn
from shared.access import passwords
from shared.access import tokens as values
from shared.db import sessions as stored
from shared.db import users
from shared.web import problems
from shared.web.problems import Problem, Refused

SIZE_MAX: Final = 4 * 1024
"""Octets that are read of whoever has not said yet who they are."""
LASTS: Final = timedelta(hours=1)


async def sign_in(passage: Passage) -> web.Response:
    """A session of whoever knows the password: 201 with its token."""
    raw = await bodies.read(passage.request, SIZE_MAX)
    body = requests.decode(user_shapes.sign_in_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    if fault := requests.unstorable("account", body.account):
        raise Refused(fault)
    email = email_of(body.email)
    attempt = _attempt(passage, body.account, email)
    await passage.context.guesses.count(attempt)
    async with passage.transaction() as opened:
        known = await users.credentials(opened, body.account, email)
    hashing = passage.context.passwords
    if not await hashing.fits(body.password, known and known.password_hash) or known is None:
        raise _wrong()
    await passage.context.guesses.forgive(attempt)
    return await _begin(passage, body.password, known)


async def _begin(passage: Passage, password: str, known: users.Credentials) -> web.Response:
    keys = passage.context.keys
    value = values.make(keys, narrow=True)
    token_hash, *_ = values.hashes(value, keys)
    user = known.user
    async with passage.transaction() as opened:
        expires_at = await stored.begin(
            opened, user.user_id, known.password_hash, token_hash, LASTS
        )
    if expires_at is None:
        # Another password, or no such user any more, since a moment ago.
        raise problems.unavailable()
    await _renew(passage, password, known)
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


def _attempt(passage: Passage, account: str, email: str) -> SignIn:
    return SignIn.of(passage.context.keys, passage.address, account, email)


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
    attempt = _attempt(visit, visit.account.name, user.email)
    await visit.context.guesses.count(attempt)
    if not await visit.context.passwords.fits(body.current_password, before):
        detail = "This is not the password that you have now."
        raise Refused(problems.of(422, "wrong_password", detail, "current_password"))
    made = await visit.context.passwords.make(body.password)
    await visit.context.guesses.forgive(attempt)
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
