"""Who has agreed to be written to, as the account records, proves and withdraws it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiohttp import web
from msgspec import UNSET

from services.ingest.native import answers, consent_shapes, phones, queries, requests
from services.ingest.native.consent_shapes import ConsentBody
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import consents as stored
from shared.db.consents import ConsentSource, NewConsent
from shared.db.opt_outs import PhoneOfAccount
from shared.runtime import ids
from shared.shapes import consent as shapes
from shared.web import problems
from shared.web.problems import Problem, Refused

CLOCKS_DIFFER = timedelta(minutes=5)
"""A consent may be recorded by a clock that is so far ahead of ours."""


async def consent_list(visit: Visit) -> web.Response:
    """A page of the consents that are in force."""
    query = queries.read(visit.request, queries.ConsentQuery)
    after = "" if query.cursor is UNSET else phones.cursor(query.cursor)
    async with visit.transaction() as opened:
        found = await stored.page(opened, visit.account_id, query.limit, after)
    cursor = None if len(found) < query.limit else found[-1].recipient
    return answers.response(consent_shapes.ConsentPage([*map(shapes.shown, found)], cursor))


async def consent_proof(visit: Visit) -> web.Response:
    """All consents of one phone, the newest first: the proof of when, where and to what."""
    number = phones.number(visit.request.match_info["number"])
    async with visit.transaction() as opened:
        found = await stored.of_phone(opened, visit.account_id, number)
    if not found:
        raise Refused(_none_such())
    return answers.response(consent_shapes.ConsentProof([*map(shapes.shown, found)]))


async def record_consent(visit: Visit) -> web.Response:
    """The phone's consent: 201 for a new one; one that says the same stays as it is."""
    number = phones.number(visit.request.match_info["number"])
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(consent_shapes.body_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    if fault := _fault_of(body):
        return problems.response(fault)
    async with visit.transaction() as opened:
        await stored.take_turn(opened)
        created = await stored.record(opened, [_new(visit, number, body)])
        newest, *_ = await stored.of_phone(opened, visit.account_id, number)
    return answers.response(shapes.shown(newest), 201 if created else 200)


def _new(visit: Visit, number: str, body: ConsentBody) -> NewConsent:
    return NewConsent(
        ids.uuid7(),
        visit.account_id,
        number,
        body.purpose,
        body.given_at,
        body.place,
        body.wording,
        ConsentSource.PRODUCER,
    )


def _fault_of(body: ConsentBody) -> Problem | None:
    if body.given_at > datetime.now(UTC) + CLOCKS_DIFFER:
        detail = "A consent that has not been given yet is none."
        return problems.of(422, "given_in_future", detail, "given_at")
    return requests.unstorable("place", body.place) or requests.unstorable("wording", body.wording)


async def withdraw_consent(visit: Visit) -> web.Response:
    """The phone's consent is in force no more; that it was is kept, with the reason for its end."""
    number = phones.number(visit.request.match_info["number"])
    query = queries.read(visit.request, queries.WithdrawalQuery)
    if fault := requests.unstorable("reason", query.reason):
        raise Refused(fault)
    phone = PhoneOfAccount(visit.account_id, number)
    async with visit.transaction() as opened:
        await stored.take_turn(opened)
        if not await stored.end(opened, phone, ConsentSource.PRODUCER, query.reason):
            raise Refused(_none_such())
    return web.Response(status=204)


def _none_such() -> Problem:
    detail = "No consent of this phone to this account's messages is on record."
    return problems.of(404, "no_such_consent", detail)


async def import_consents(visit: Visit) -> web.Response:
    """How many consents were recorded, and which entries are none."""
    raw = await bodies.read(visit.request, bodies.BATCH_SIZE_MAX)
    body = requests.decode(consent_shapes.import_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    failed = [
        answers.NotImported(index, answers.failed(fault).error)
        for index, entry in enumerate(body.consents)
        if (fault := phones.fault_of(entry.number) or _fault_of(entry)) is not None
    ]
    wrong = {each.index for each in failed}
    # Of several about one phone the last counts.
    wanted = {
        entry.number: _new(visit, entry.number, entry)
        for index, entry in enumerate(body.consents)
        if index not in wrong
    }
    async with visit.transaction() as opened:
        await stored.take_turn(opened)
        created = await stored.record(opened, list(wanted.values()))
    counted = consent_shapes.ConsentsImported(
        recorded_count=len(created), known_count=len(wanted) - len(created), failed=failed
    )
    return answers.response(counted)
