"""One text to one number."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web

from services.ingest.mailjet import answers, faults, requests, senders
from services.ingest.mailjet.requests import SmsBody
from services.ingest.web import bodies, intakes
from services.ingest.web import faults as document_faults
from services.ingest.web.entrance import Visit
from services.ingest.web.intakes import RequestKey
from shared.db import ledger, message_windows
from shared.rules.compose import Draft, Wish, compose, measure
from shared.rules.doors import DoorName
from shared.rules.purposes import Purpose
from shared.rules.refusals import Code, Refusal, Subject
from shared.runtime import ids
from shared.shapes import mailjet as shapes
from shared.sms import e164, segmentation
from shared.web import problems
from shared.web.problems import Problem, Refused

SEGMENT_COUNT_MAX: Final = 5
REFERENCE_BITS: Final[segmentation.ReferenceBits] = 8
"""Five parts hold 765 characters (M5), which 16 bits leave no room for."""
RETRY_SECONDS: Final = 200
"""A key that is a hash of the payload is that of every such payload. A client that makes such keys
repeats a request by itself four times in all, within 186 s if it waits a minute for each answer;
after that the same text to the same number is another message."""

_PAYLOAD_HASH = re.compile(r"[0-9a-f]{64}")


class _TakenSms(msgspec.Struct, frozen=True):
    """What is kept of an answer under its key: all but what the same request says again, so that no
    text is kept (A11)."""

    message_id: UUID
    segment_count: int
    price_micro: int
    currency: str


_taken_decoder = msgspec.json.Decoder(_TakenSms)


async def send(visit: Visit) -> web.Response:
    """200 once the message is stored and paid for."""
    key = _key(visit.request)
    body = await requests.read_sms(visit)
    await intakes.gather(visit)
    draft: Draft | Problem
    try:
        draft = await _compose(visit, body, datetime.now(UTC))
    except Refused as refused:
        draft = refused.problem
    canonical = document_faults.canonical(body)
    try:
        kept = await intakes.store_one(visit, draft, key, canonical, _taken, faults.of_refusal)
    except Refused as refused:
        raise await _with_its_cause(visit, refused) from None
    return answers.response(_shown(body, _taken_decoder.decode(kept)))


def _key(request: web.Request) -> RequestKey | None:
    text = bodies.idempotency_key(request)
    if text is None:
        return None
    # No key of another face has a blank.
    return RequestKey(f"mailjet {text}", RETRY_SECONDS if _PAYLOAD_HASH.fullmatch(text) else None)


def _taken(draft: Draft) -> bytes:
    return answers.encode(
        _TakenSms(draft.message_id, draft.segment_count, draft.price_micro, draft.currency)
    )


async def _compose(visit: Visit, body: SmsBody, now: datetime) -> Draft | Problem:
    """The message as it could be stored; what is wrong with it in the order of its members. Raises
    Refused."""
    sender = senders.known(visit, body.sender)
    kind = None if sender is not None else senders.check(body.sender)
    requests.check_recipient(body.to)
    requests.check_text(body.text)
    wish = _wish(body, sender or body.sender)
    refusal = None if kind is None else await senders.begin(visit, kind, wish, now)
    fate = refusal or compose(visit.context.watch.current, visit.account, wish, ids.uuid7(), now)
    if isinstance(fate, Refusal):
        return _problem_of(fate, body)
    await visit.context.departures.learn([fate])
    departs_at = visit.context.departures.admit(fate, now)
    return faults.of_refusal(departs_at) if isinstance(departs_at, Refusal) else fate


def _wish(body: SmsBody, sender: str) -> Wish:
    """What goes out here is transactional (M11), whatever its line is for."""
    return Wish(
        body.to,
        body.text,
        sender,
        purpose=Purpose.AUTOMATED,
        door=DoorName.MAILJET,
        segment_count_max=SEGMENT_COUNT_MAX,
        reference_bits=REFERENCE_BITS,
    )


def _problem_of(refusal: Refusal, body: SmsBody) -> Problem:
    """The text comes before the country; a number of no country is one of a country that is not
    served."""
    if refusal.subject is Subject.RECIPIENT:
        measured = measure(body.text, REFERENCE_BITS, SEGMENT_COUNT_MAX)
        if isinstance(measured, Refusal):
            return faults.of_refusal(measured)
    if refusal.code is Code.INVALID_RECIPIENT and not _has_country(body.to):
        return faults.of_refusal(refusal._replace(code=Code.UNSUPPORTED_COUNTRY))
    return faults.of_refusal(refusal)


def _has_country(to: str) -> bool:
    try:
        e164.parse(to)
    except e164.InvalidNumber as error:
        return to.startswith("+") and error.reason != "unknown_country_code"
    return True


async def _with_its_cause(visit: Visit, refused: Refused) -> Refused:
    """The refusal; of an account that never had any money, another than of one that has spent
    it."""
    if refused.problem.code != Code.INSUFFICIENT_FUNDS:
        return refused
    async with visit.transaction() as opened:
        if not await ledger.is_untouched(opened, visit.account_id):
            return refused
    detail = "The account has no SMS balance yet: it needs a deposit first."
    return Refused(problems.of(400, "no_deposit", detail))


def _shown(body: SmsBody, taken: _TakenSms) -> answers.SentSms:
    message_id = str(taken.message_id)
    second = message_windows.second_of(taken.message_id)
    return answers.SentSms(
        sender=body.sender,
        recipient=body.to,
        text=body.text,
        message_id=message_id,
        message_id_spelt_otherwise=message_id,
        id=message_id,
        segment_count=taken.segment_count,
        segment_count_spelt_otherwise=taken.segment_count,
        created_at=second,
        sent_at=second,
        cost=shapes.cost(taken.price_micro, taken.currency),
    )
