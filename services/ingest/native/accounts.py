"""The account's home (M12), and its sub-accounts: they send, and the main account pays (M8)."""

from __future__ import annotations

from aiohttp import web

from services.ingest.native import account_shapes, answers, requests, tokens
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.access.rights import AccessScope
from shared.db import ledger
from shared.db import sub_accounts as stored
from shared.db import tokens as stored_tokens
from shared.web import problems
from shared.web.problems import Problem, Refused


async def home(visit: Visit) -> web.Response:
    """What the account is, who asks, and where to go."""
    you = _asking(visit)
    account = visit.account
    if not account.is_main:
        return answers.response(account_shapes.Home(name=account.name, kind="sub", you=you))
    async with visit.transaction() as opened:
        balance = await ledger.balance(opened, visit.account_id)
        token_count = len(await stored_tokens.of_account(opened, visit.account_id))
    return answers.response(
        account_shapes.Home(
            name=account.name,
            kind="main",
            you=you,
            currency=account.currency,
            balance=answers.balance(*balance),
            tokens=account_shapes.TokenCounts(count=token_count, count_max=stored_tokens.COUNT_MAX),
            daily_limit=account.daily_limit,
            links=account_shapes.Links(),
        )
    )


def _asking(visit: Visit) -> account_shapes.WhoAsks:
    caller = visit.caller
    if caller.role is not None:
        return account_shapes.WhoAsks(role=caller.role)
    return account_shapes.WhoAsks(scopes=[each for each in AccessScope if each in caller.scopes])


async def create_account(visit: Visit) -> web.Response:
    """A sub-account, with the main account's permissions and none of its money."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(account_shapes.sub_account_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    if not stored.is_name(body.name):
        detail = "A name is of small letters, digits, '.', '_' and '-'."
        raise Refused(problems.of(422, "invalid_name", detail, "name"))
    try:
        async with visit.transaction() as opened:
            made = await stored.create(opened, visit.account_id, body.name)
    except stored.SubNameTaken:
        detail = "The account has a sub-account of this name."
        raise Refused(problems.of(409, "account_name_taken", detail, "name")) from None
    except stored.TooManySubAccounts:
        detail = f"An account has at most {stored.COUNT_MAX} sub-accounts."
        raise Refused(problems.of(409, "too_many_accounts", detail)) from None
    return answers.response(account_shapes.shown(made), 201)


async def account_list(visit: Visit) -> web.Response:
    """All sub-accounts of the account."""
    async with visit.transaction() as opened:
        found = await stored.listed(opened, visit.account_id)
    return answers.response(account_shapes.shown_all(found))


async def sub_account(visit: Visit) -> web.Response:
    """One sub-account; 404 alike for another account's and for none."""
    return answers.response(account_shapes.shown(await _sub(visit)))


async def create_sub_token(visit: Visit) -> web.Response:
    """A token that sends as the sub-account, shown this once."""
    return await tokens.create(visit, (await _sub(visit)).account_id)


async def sub_token_list(visit: Visit) -> web.Response:
    """The sub-account's good tokens, without their values."""
    return await tokens.listed(visit, (await _sub(visit)).account_id)


async def delete_sub_token(visit: Visit) -> web.Response:
    """No token of the sub-account any more: within a second no process lets it in."""
    return await tokens.delete(visit, (await _sub(visit)).account_id)


async def _sub(visit: Visit) -> stored.SubAccount:
    """The sub-account in the path. Raises Refused for what is none of this account."""
    account_id = tokens.id_of(visit, "account_id")
    found = None
    if account_id is not None:
        async with visit.transaction() as opened:
            found = await stored.get(opened, visit.account_id, account_id)
    if found is None:
        detail = "The account has no sub-account with this id."
        raise Refused(problems.of(404, "no_such_account", detail))
    return found
