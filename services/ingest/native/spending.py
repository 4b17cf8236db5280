"""What an account may spend: its own caps, which it sets; the operator's, which it reads."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from services.ingest.native import answers, requests
from services.ingest.native.reads import reading
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import spending as stored
from shared.db.connection import Connection
from shared.ledger import money
from shared.rules.spending import EVERYWHERE, CapOwner
from shared.shapes import spending as shapes
from shared.web import problems
from shared.web.problems import Problem, Refused

COUNTRY_COUNT_MAX = 300

_Cap = Annotated[
    str | None,
    Meta(description="In the account's currency; null: no cap.", examples=["50.00"]),
]


class CapBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be spent within each rolling window."""

    hour: _Cap = None
    day: _Cap = None
    month: _Cap = None


_CountryKey = Annotated[str, Meta(pattern="^([A-Z]{2}|001)$")]


class SpendingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the account's own caps: on everything, and on messages to a country. What is not named
    has none."""

    total: CapBody = CapBody()
    countries: Annotated[dict[_CountryKey, CapBody], Meta(max_length=COUNTRY_COUNT_MAX)] = {}


_decoder = msgspec.json.Decoder(SpendingBody)


async def spending(visit: Visit) -> web.Response:
    """Every cap with what is left of it, and what the guard lets pass."""
    async with reading(visit) as opened:
        return answers.response(await _standing(opened, visit))


async def _standing(opened: Connection, visit: Visit) -> shapes.SpendingStanding:
    account = visit.account
    wallet_ids = [account.wallet_id]
    caps = await stored.caps(opened, wallet_ids)
    countries = await stored.countries_of_today(opened, account.account_id)
    guards = await stored.paces(opened, wallet_ids, countries or [EVERYWHERE])
    guard = None
    if account.wallet_id in guards:
        watched, paces = guards[account.wallet_id]
        known = {country: paces[country] for country in countries}
        lifts = await stored.lifts(opened, account.account_id)
        guard = shapes.guard_shown(watched, known, lifts)
    return shapes.SpendingStanding(
        currency=account.currency,
        caps=shapes.caps_shown(caps.get(account.wallet_id, ())),
        guard=guard,
    )


async def set_spending(visit: Visit) -> web.Response:
    """The account's own caps are these from now on, for every process and message."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    wanted = {EVERYWHERE: _limits(body.total, "total")}
    for country, cap in body.countries.items():
        wanted[country] = _limits(cap, f"countries.{country}")
    async with visit.transaction() as opened:
        await stored.take_turn(opened, visit.account_id)
        before = await stored.capped_countries(opened, visit.account_id, CapOwner.ACCOUNT)
        gone = dict.fromkeys(before - wanted.keys(), (None, None, None))
        await stored.put_caps(opened, visit.account_id, CapOwner.ACCOUNT, wanted | gone)
        return answers.response(await _standing(opened, visit))


def _limits(cap: CapBody, where: str) -> stored.CapLimits:
    return (
        _micro(cap.hour, f"{where}.hour"),
        _micro(cap.day, f"{where}.day"),
        _micro(cap.month, f"{where}.month"),
    )


def _micro(amount: str | None, field: str) -> int | None:
    if amount is None:
        return None
    try:
        return money.parse_amount(amount)
    except money.InvalidAmount as error:
        detail = problems.sentence(str(error))
        raise Refused(problems.of(422, "invalid_amount", detail, field)) from None
