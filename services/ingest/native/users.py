"""Users, as an account's owners make, change and remove them. Another account's are not there."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web
from msgspec import UNSET

from services.ingest.native import answers, queries, requests, sessions, user_shapes
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import users as stored
from shared.runtime import ids
from shared.web import problems
from shared.web.problems import Problem, Refused


def _id_of(visit: Visit) -> UUID:
    user_id = queries.uuid_of(visit.request.match_info["id"])
    if user_id is None:
        raise _missing()
    return user_id


def _missing() -> Refused:
    detail = "The account has no user with this id."
    return Refused(problems.of(404, "no_such_user", detail))


def _last_owner() -> Refused:
    detail = "The account would have no owner any more; make another user one first."
    return Refused(problems.of(409, "last_owner", detail))


async def create_user(visit: Visit) -> web.Response:
    """A user with a first password."""
    raw = await bodies.read(visit.request, sessions.SIZE_MAX)
    body = requests.decode(user_shapes.user_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    email = sessions.email_of(body.email)
    sessions.check_password(body.password, email)
    hashed = await visit.context.passwords.make(body.password)
    new = stored.NewUser(ids.uuid7(), email, body.role, hashed)
    try:
        async with visit.transaction() as opened:
            made = await stored.create(opened, visit.account_id, new)
    except stored.EmailTaken:
        detail = "The account has a user with this address."
        raise Refused(problems.of(409, "email_taken", detail, "email")) from None
    except stored.TooManyUsers:
        detail = f"An account has at most {stored.COUNT_MAX} users."
        raise Refused(problems.of(409, "too_many_users", detail)) from None
    return answers.response(user_shapes.shown(made), 201)


async def user_list(visit: Visit) -> web.Response:
    """All users of the account."""
    async with visit.transaction() as opened:
        found = await stored.listed(opened, visit.account_id)
    return answers.response(user_shapes.UserList([*map(user_shapes.shown, found)]))


async def user(visit: Visit) -> web.Response:
    """One user; 404 alike for another account's and for none."""
    user_id = _id_of(visit)
    async with visit.transaction() as opened:
        found = await stored.get(opened, visit.account_id, user_id)
    if found is None:
        raise _missing()
    return answers.response(user_shapes.shown(found))


async def change_user(visit: Visit) -> web.Response:
    """The user in another role, or with another password, which ends that user's sessions."""
    user_id = _id_of(visit)
    raw = await bodies.read(visit.request, sessions.SIZE_MAX)
    body = requests.decode(user_shapes.change_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    role = None if body.role is UNSET else body.role
    hashed = None
    if body.password is not UNSET:
        async with visit.transaction() as opened:
            before = await stored.get(opened, visit.account_id, user_id)
        if before is None:
            raise _missing()
        sessions.check_password(body.password, before.email)
        hashed = await visit.context.passwords.make(body.password)
    try:
        async with visit.transaction() as opened:
            changed = await stored.change(
                opened, visit.account_id, user_id, role=role, password_hash=hashed
            )
    except stored.LastOwner:
        raise _last_owner() from None
    if changed is None:
        raise _missing()
    return answers.response(user_shapes.shown(changed))


async def delete_user(visit: Visit) -> web.Response:
    """No user any more, and none of their sessions: within a second no process lets them in."""
    user_id = _id_of(visit)
    try:
        async with visit.transaction() as opened:
            if not await stored.delete(opened, visit.account_id, user_id):
                raise _missing()
    except stored.LastOwner:
        raise _last_owner() from None
    return web.Response(status=204)
