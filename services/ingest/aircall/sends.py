"""A message to one phone, from a number in the mode that the path is for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from aiohttp import web

from services.ingest.aircall import answers, configurations, faults, phone_numbers, requests
from services.ingest.web import bodies, intakes
from services.ingest.web import faults as document_faults
from services.ingest.web.entrance import Visit
from shared.rules.compose import Draft, Wish, compose
from shared.rules.doors import DoorName
from shared.rules.line_kinds import Capability, LineMode
from shared.rules.lines import Line
from shared.rules.refusals import Refusal
from shared.runtime import ids
from shared.shapes import aircall as shapes
from shared.web import problems
from shared.web.problems import Problem, Refused

TEXT_LENGTH_MAX = 1_600
FRENCH_TEXT_LENGTH_MAX = 670
SEGMENT_COUNT_MAX = 25
"""1,600 characters of any kind."""


class _TakenMessage(msgspec.Struct, frozen=True):
    """What is kept of an answer under its key: all but what the same request says again, so that no
    text is kept (A11)."""

    message_id: UUID
    created_at: int


_taken_decoder = msgspec.json.Decoder(_TakenMessage)


async def send(visit: Visit) -> web.Response:
    """From a number in API mode."""
    return await _send(visit, LineMode.API)


async def send_native(visit: Visit) -> web.Response:
    """From a number that serves the application."""
    return await _send(visit, LineMode.APPLICATION)


async def _send(visit: Visit, mode: LineMode) -> web.Response:
    line = phone_numbers.of_path(visit)
    body = await requests.read(visit, requests.send_decoder)
    key = bodies.idempotency_key(visit.request)
    await intakes.gather(visit)
    now = datetime.now(UTC)
    draft: Draft | Problem
    try:
        draft = await _compose(visit, line, mode, body, now)
    except Refused as refused:
        draft = refused.problem
    stored = await intakes.store_one(
        visit,
        draft,
        None if key is None else intakes.RequestKey(key),
        document_faults.canonical(body),
        lambda kept: answers.encode(_TakenMessage(kept.message_id, shapes.milliseconds(now))),
        faults.of_refusal,
    )
    taken = _taken_decoder.decode(stored)
    return answers.response(_shown(visit, line, body, taken))


async def _compose(
    visit: Visit, line: Line, mode: LineMode, body: requests.NumberSendBody, now: datetime
) -> Draft | Problem:
    """The message as it could be stored. Raises Refused."""
    configurations.check_plan(visit.account)
    if line.mode is not mode:
        serves = "the API" if line.mode is LineMode.API else "the application"
        raise faults.forbidden("wrong_mode", f"The number is configured for {serves}.")
    if body.media_url:
        _refuse_media(visit, line, body.media_url)
    if not body.body:
        raise faults.invalid("A text is required.", "body")
    _check_text(line, body.body)
    if body.to == line.sender:
        detail = "The number cannot send to itself."
        raise Refused(problems.of(400, "same_destination", detail, "to"))
    # What is sent for the application is judged as what it sends itself (A2, A14).
    door = DoorName.AIRCALL if mode is LineMode.API else DoorName.NATIVE
    wish = Wish(body.to, body.body, line.sender, door=door, segment_count_max=SEGMENT_COUNT_MAX)
    fate = compose(visit.context.watch.current, visit.account, wish, ids.uuid7(), now)
    if isinstance(fate, Refusal):
        return faults.of_refusal(fate)
    await visit.context.departures.learn([fate])
    departs_at = visit.context.departures.admit(fate, now)
    return faults.of_refusal(departs_at) if isinstance(departs_at, Refusal) else fate


def _check_text(line: Line, text: str) -> None:
    most = FRENCH_TEXT_LENGTH_MAX if line.country == "FR" else TEXT_LENGTH_MAX
    if len(text) > most:
        raise faults.invalid(f"The text has more than {most} characters.", "body")
    if "\0" in text:
        raise faults.invalid("The text holds a NUL character.", "body")


def _refuse_media(visit: Visit, line: Line, urls: Sequence[str]) -> None:
    """Media are for MMS, which no carrier's adapter can carry so far."""
    for index, url in enumerate(urls):
        requests.check_url(visit, url, f"mediaUrl[{index}]")
    if Capability.MMS not in line.capabilities:
        raise faults.forbidden("no_media", "The number is not enabled for MMS.")
    detail = "No carrier of this platform carries MMS; send the text without media."
    raise Refused(problems.of(422, "media_not_carried", detail, "mediaUrl"))


def _shown(
    visit: Visit, line: Line, body: requests.NumberSendBody, taken: _TakenMessage
) -> answers.SentMessage:
    number = shapes.number(line, answers.root_of(visit.request))
    message_id = str(taken.message_id)
    return answers.SentMessage(
        id=message_id,
        status=shapes.PENDING,
        direction="outbound",
        direct_link=f"{number.direct_link}/messages/{message_id}",
        created_at=taken.created_at,
        sent_at=taken.created_at,
        updated_at=taken.created_at,
        raw_digits=shapes.raw_digits(body.to),
        body=body.body or "",
        media_url=[],
        number=number,
    )
