"""Phones that an account must not write to, as the account reads, makes and ends them."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET, UnsetType

from services.ingest.native import answers, phones, queries, requests
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import opt_outs as stored
from shared.db.opt_outs import NewOptOut, OptOutSource, PhoneOfAccount
from shared.runtime import ids
from shared.shapes import opt_out as shapes
from shared.web import problems
from shared.web.problems import Problem, Refused


async def opt_out_list(visit: Visit) -> web.Response:
    """A page of the opt-outs that are in force, or that of one phone."""
    query = queries.read(visit.request, queries.OptOutQuery)
    after = "" if query.cursor is UNSET else phones.cursor(query.cursor)
    number = None if query.number is UNSET else phones.number(query.number)
    async with visit.transaction() as opened:
        if number is None:
            found = await stored.page(opened, visit.account_id, query.limit, after)
        else:
            one = await stored.of_phone(opened, visit.account_id, number)
            found = [] if one is None else [one]
    is_last = number is not None or len(found) < query.limit
    cursor = None if is_last else found[-1].recipient
    return answers.response(answers.OptOutPage([*map(shapes.shown, found)], cursor))


def _reason(given: str | UnsetType) -> str:
    reason = "" if given is UNSET else given
    if fault := requests.unstorable("reason", reason):
        raise Refused(fault)
    return reason


async def opt_out(visit: Visit) -> web.Response:
    """The phone's opt-out: 201 for a new one; one that is in force stays as it is."""
    number = phones.number(visit.request.match_info["number"])
    body: requests.OptOutBody | Problem = requests.OptOutBody()
    if visit.request.can_read_body:
        raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
        body = requests.decode(requests.opt_out_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    wanted = _new(visit, number, _reason(body.reason))
    async with visit.transaction() as opened:
        await stored.take_turn(opened)
        created = await stored.create(opened, [wanted])
        await stored.tell(opened, created)
        found = await stored.of_phone(opened, visit.account_id, number)
    if found is None:
        raise AssertionError("it is there, for nobody else had the turn")
    return answers.response(shapes.shown(found), 201 if created else 200)


def _new(visit: Visit, number: str, reason: str) -> NewOptOut:
    return NewOptOut(ids.uuid7(), visit.account_id, number, OptOutSource.PRODUCER, reason)


async def opt_in(visit: Visit) -> web.Response:
    """The phone has no opt-out any more; that it had is kept, with the reason for its end."""
    number = phones.number(visit.request.match_info["number"])
    query = queries.read(visit.request, queries.OptInQuery)
    phone = PhoneOfAccount(visit.account_id, number)
    reason = _reason(query.reason)
    async with visit.transaction() as opened:
        await stored.take_turn(opened)
        ended = await stored.end(opened, [phone], OptOutSource.PRODUCER, reason)
        if not ended:
            detail = "The phone has not opted out of this account's messages."
            raise Refused(problems.of(404, "no_such_opt_out", detail))
        await stored.tell(opened, ended=ended)
    return web.Response(status=204)


async def import_opt_outs(visit: Visit) -> web.Response:
    """How many phones were opted out, and which numbers are none."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(requests.import_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    reason = _reason(body.reason)
    failed = [
        answers.NotImported(index, answers.failed(fault).error)
        for index, number in enumerate(body.numbers)
        if (fault := phones.fault_of(number)) is not None
    ]
    wrong = {each.index for each in failed}
    numbers = {number for index, number in enumerate(body.numbers) if index not in wrong}
    async with visit.transaction() as opened:
        await stored.take_turn(opened)
        wanted = [_new(visit, number, reason) for number in sorted(numbers)]
        created = await stored.create(opened, wanted)
        await stored.tell(opened, created)
    counted = answers.OptOutsImported(
        added_count=len(created), known_count=len(numbers) - len(created), failed=failed
    )
    return answers.response(counted)
