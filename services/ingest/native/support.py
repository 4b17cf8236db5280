"""What an account asks the operator for: stored, counted for the alarm (M3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native import answers, requests
from services.ingest.native.reads import reading
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import support as stored
from shared.db.support import SupportRequest, Topic
from shared.rules import prices
from shared.runtime import ids
from shared.shapes.message import Time
from shared.shapes.price import CountryCode
from shared.web import problems
from shared.web.problems import Problem, Refused

WORDS_LENGTH_MAX = 2_000
LIST_COUNT = 100
"""Of them there can only be so many that are open."""


class SupportBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A country that is not offered and is asked for, or something else in words."""

    country: CountryCode | UnsetType = UNSET
    text: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=WORDS_LENGTH_MAX,
                description="What else is to be said; must be there where no country is named.",
                examples=["About 2,000 messages a month, from January on."],
            ),
        ]
        | UnsetType
    ) = UNSET


class SupportCase(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Once the operator has answered, `answer` says what, and it is closed."""

    case_id: UUID = msgspec.field(name="id")
    topic: Literal["country", "other"]
    country: str | None
    text: str
    state: Literal["open", "closed"]
    created_at: Time
    closed_at: Time | None
    answer: str | None


class SupportCases(msgspec.Struct, frozen=True):
    """The account's latest requests, the newest first."""

    support_requests: list[SupportCase]


_decoder = msgspec.json.Decoder(SupportBody)


async def ask_support(visit: Visit) -> web.Response:
    """201 for a new request, 200 for one that is open already."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    country = None if body.country is UNSET else body.country
    words = "" if body.text is UNSET else body.text
    if fault := _fault_of(visit, country, words):
        return problems.response(fault)
    topic = Topic.OTHER if country is None else Topic.COUNTRY
    async with visit.transaction() as opened:
        try:
            found, is_new = await stored.ask(
                opened, ids.uuid7(), visit.account_id, topic, country, words
            )
        except stored.TooManyOpen:
            detail = f"{stored.OPEN_COUNT_MAX} requests of the account wait for an answer already."
            raise Refused(problems.of(409, "too_many_support_requests", detail)) from None
    return answers.response(_shown(found), 201 if is_new else 200)


def _fault_of(visit: Visit, country: str | None, words: str) -> Problem | None:
    if country is None and not words.strip():
        return problems.of(422, "missing_field", "A country or a text must be given.", "country")
    if fault := requests.unstorable("text", words):
        return fault
    current, currency = visit.context.watch.current, visit.account.currency
    if country is not None and current.carrier_for(country) is not None:
        now = datetime.now(UTC)
        if prices.segment_price_micro(current, country, currency, now) is not None:
            detail = f"Messages to {country} are offered already."
            return problems.of(409, "country_is_offered", detail, "country")
    return None


async def support_list(visit: Visit) -> web.Response:
    """What the account has asked for, and what it was answered."""
    async with reading(visit) as opened:
        found = await stored.of_account(opened, visit.account_id, LIST_COUNT)
    return answers.response(SupportCases([*map(_shown, found)]))


def _shown(found: SupportRequest) -> SupportCase:
    return SupportCase(
        case_id=found.support_request_id,
        topic="other" if found.country is None else "country",
        country=found.country,
        text=found.words,
        state="open" if found.closed_at is None else "closed",
        created_at=found.created_at,
        closed_at=found.closed_at,
        answer=found.answer,
    )
