"""The calculator: an amount as messages, and messages as an amount (M35), both by the functions
that charge."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native import answers, refusals, requests
from services.ingest.native.requests import BATCH_COUNT_MAX, To
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.ledger import money
from shared.rules import compose, prices
from shared.rules.compose import Quote, Wish
from shared.rules.refusals import Code, Refusal, Subject
from shared.shapes.message import Amount
from shared.shapes.price import CountryCode, CurrencyCode
from shared.web import problems
from shared.web.problems import Problem

TURN_COUNT = 100
"""After so many texts others have their turn."""


class CalculatorBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Either `amount` and `country`, perhaps with a `text`: how many messages it pays for. Or
    `text` and `recipients`: what they cost together."""

    amount: (
        Annotated[str, Meta(description="What is to be spent.", examples=["10.00"])] | UnsetType
    ) = UNSET
    country: CountryCode | UnsetType = UNSET
    text: (
        Annotated[str, Meta(description="The text. Default: one that takes one segment.")]
        | UnsetType
    ) = UNSET
    recipients: (
        Annotated[
            list[To],
            Meta(min_length=1, max_length=BATCH_COUNT_MAX, description="Each gets the text once."),
        ]
        | UnsetType
    ) = UNSET
    currency: Annotated[CurrencyCode, Meta(description="Default: the account's.")] | UnsetType = (
        UNSET
    )


class CountryCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the messages to one country take and cost together."""

    country: str
    messages: int
    segments: int
    cost: Amount


class Calculated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many messages, which take so many segments and cost so much together. Of an amount, `left`
    is what they leave of it; of recipients, `countries` tells the sums by country, and `refused`
    who could not be sent to, which costs nothing."""

    messages: int
    segments: int
    cost: Amount
    currency: str
    segment_price: Amount | UnsetType = UNSET
    left: Amount | UnsetType = UNSET
    countries: list[CountryCost] | UnsetType = UNSET
    refused: list[answers.NotImported] | UnsetType = UNSET


_decoder = msgspec.json.Decoder(CalculatorBody)


async def calculate(visit: Visit) -> web.Response:
    """How far an amount goes, or what messages would cost; nothing is sent or charged."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    if body.text is not UNSET and (fault := requests.unstorable("text", body.text)):
        return problems.response(fault)
    calculated = await _calculated(visit, body)
    if isinstance(calculated, Problem):
        return problems.response(calculated)
    return answers.response(calculated)


async def _calculated(visit: Visit, body: CalculatorBody) -> Calculated | Problem:
    of_amount = body.amount is not UNSET or body.country is not UNSET
    if of_amount and body.recipients is not UNSET:
        detail = "Either an amount and a country, or a text and recipients."
        return problems.of(422, "contradicting_fields", detail, "recipients")
    currency = visit.account.currency if body.currency is UNSET else body.currency
    if body.recipients is UNSET:
        if body.amount is UNSET or body.country is UNSET:
            return _missing("country" if of_amount and body.country is UNSET else "amount")
        return _of_amount(visit, body.amount, body.country, body.text, currency)
    if body.text is UNSET:
        return _missing("text")
    return await _of_recipients(visit, body.text, body.recipients, currency)


def _missing(field: str) -> Problem:
    return problems.of(422, "missing_field", "The field is missing.", field)


def _of_amount(
    visit: Visit, amount: str, country: str, text: str | UnsetType, currency: str
) -> Calculated | Problem:
    try:
        amount_micro = money.parse_amount(amount)
    except money.InvalidAmount as error:
        return problems.of(422, "invalid_amount", problems.sentence(str(error)), "amount")
    current = visit.context.watch.current
    carrier = current.carrier_for(country)
    price_micro = prices.segment_price_micro(current, country, currency, datetime.now(UTC))
    if carrier is None or price_micro is None:
        detail = f"Messages to {country} are not offered in {currency}."
        return problems.of(422, Code.UNSUPPORTED_COUNTRY.value, detail, "country")
    segment_count = 1
    if text is not UNSET:
        plan = compose.measure(text, carrier.reference_bits, repertoire=carrier.repertoire)
        if isinstance(plan, Refusal):
            return refusals.problem_of(plan)
        segment_count = plan.segment_count
    message_count = prices.affordable_count(amount_micro, price_micro, segment_count)
    cost_micro = message_count * segment_count * price_micro
    return Calculated(
        messages=message_count,
        segments=message_count * segment_count,
        cost=money.format_amount(cost_micro),
        currency=currency,
        segment_price=money.format_amount(price_micro),
        left=money.format_amount(amount_micro - cost_micro),
    )


async def _of_recipients(
    visit: Visit, text: str, recipients: list[str], currency: str
) -> Calculated | Problem:
    now = datetime.now(UTC)
    message_counts: Counter[str] = Counter()
    segment_counts: Counter[str] = Counter()
    costs_micro: Counter[str] = Counter()
    refused: list[answers.NotImported] = []
    for index, to in enumerate(recipients):
        quoted = _quoted(visit, currency, to, text, now)
        if isinstance(quoted, Quote):
            message_counts[quoted.country] += 1
            segment_counts[quoted.country] += quoted.segment_count
            costs_micro[quoted.country] += quoted.price_micro
        elif quoted.subject is Subject.TEXT:
            return refusals.problem_of(quoted)
        else:
            error = answers.failed(refusals.problem_of(quoted)).error
            refused.append(answers.NotImported(index, error))
        if index % TURN_COUNT == TURN_COUNT - 1:
            await asyncio.sleep(0)
    countries = [
        CountryCost(
            country=country,
            messages=message_counts[country],
            segments=segment_counts[country],
            cost=money.format_amount(costs_micro[country]),
        )
        for country in sorted(message_counts)
    ]
    return Calculated(
        messages=message_counts.total(),
        segments=segment_counts.total(),
        cost=money.format_amount(costs_micro.total()),
        currency=currency,
        countries=countries,
        refused=refused,
    )


def _quoted(visit: Visit, currency: str, to: str, text: str, now: datetime) -> Quote | Refusal:
    current = visit.context.watch.current
    return compose.quote(current, visit.account, currency, Wish(to, text), now)
