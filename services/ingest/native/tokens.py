"""Tokens, as an account makes, lists and deletes them (M14 to M20). A value is shown once."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web
from msgspec import UNSET

from services.ingest.native import answers, requests, token_shapes
from services.ingest.native.token_shapes import TokenBody
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.access import rights
from shared.access import tokens as values
from shared.db import tokens as stored
from shared.web import problems
from shared.web.problems import Problem, Refused

ID_MAX = 2**31 - 1


def id_of(visit: Visit, name: str) -> int | None:
    """The number of this name in the path; None for what cannot be one."""
    text = visit.request.match_info[name]
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(ID_MAX))
    return int(text) if is_number and int(text) <= ID_MAX else None


async def create_token(visit: Visit) -> web.Response:
    """A token of the account, shown this once."""
    return await create(visit, visit.account_id)


async def token_list(visit: Visit) -> web.Response:
    """The account's good tokens, without their values."""
    return await listed(visit, visit.account_id)


async def delete_token(visit: Visit) -> web.Response:
    """No token any more: within a second no process lets it in."""
    return await delete(visit, visit.account_id)


async def create(visit: Visit, account_id: int) -> web.Response:
    """A token of this account, which is the visitor's or a sub-account of it."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(token_shapes.token_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    scopes = _scopes(visit, body)
    keys = visit.context.keys
    value = values.make(keys, narrow=scopes != rights.ALL_SCOPES)
    token_hash, *_ = values.hashes(value, keys)
    days = body.expires_in_days
    good_for = None if days is UNSET else timedelta(days=days)
    new = stored.NewToken(body.name, token_hash, scopes, good_for)
    try:
        async with visit.transaction() as opened:
            made = await stored.create(opened, account_id, new)
    except stored.NameTaken:
        detail = "The account has a good token of this name."
        raise Refused(problems.of(409, "token_name_taken", detail, "name")) from None
    except stored.TooManyTokens:
        detail = f"An account has at most {stored.COUNT_MAX} good tokens; delete one first."
        raise Refused(problems.of(409, "too_many_tokens", detail)) from None
    return answers.response(token_shapes.shown_once(made, value), 201)


def _scopes(visit: Visit, body: TokenBody) -> frozenset[rights.AccessScope]:
    """Raises Refused for a name that is none, and for more than the visitor may hand on."""
    if not values.is_name(body.name):
        detail = "A name is of characters that can be seen, with blanks between them only."
        raise Refused(problems.of(422, "invalid_name", detail, "name"))
    may = rights.grants(visit.caller)
    scopes = may if body.scopes is UNSET else frozenset(body.scopes)
    if not scopes or scopes - may:
        own = ", ".join(sorted(may)) or "no scope"
        detail = f"Whoever makes this token may hand on {own}, and nothing else."
        raise Refused(problems.of(403, "scope_not_yours", detail, "scopes"))
    return scopes


async def listed(visit: Visit, account_id: int) -> web.Response:
    """The good tokens of this account."""
    async with visit.transaction() as opened:
        found = await stored.of_account(opened, account_id)
    shown = [*map(token_shapes.shown, found)]
    return answers.response(token_shapes.TokenList(shown, stored.COUNT_MAX))


async def delete(visit: Visit, account_id: int) -> web.Response:
    """No token of this account any more; 404 alike for another account's and for none."""
    token_id = id_of(visit, "token_id")
    async with visit.transaction() as opened:
        if token_id is None or not await stored.revoke(opened, account_id, token_id=token_id):
            detail = "The account has no token with this id."
            raise Refused(problems.of(404, "no_such_token", detail))
    return web.Response(status=204)
