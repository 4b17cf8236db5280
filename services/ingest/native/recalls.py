"""A message that has not left is wanted at another time, or not at all.

Canceling is a POST, not a DELETE: the message stays, with its refund, its event and its trace.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web
from msgspec.structs import replace

from services.ingest.native import queries, refusals, requests
from services.ingest.native.reads import answer_with, check_mode, no_such_message
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import connection, facts, messages, recall
from shared.db.messages import StoredMessage
from shared.db.recall import RecallResult
from shared.rules import verdict_codes, verdict_words, verdicts
from shared.rules.compose import Wish, case_of
from shared.sms.states import MessageStatus
from shared.web import problems
from shared.web.problems import Problem, Refused


async def cancel(visit: Visit) -> web.Response:
    """The message, canceled and refunded; 409 once any of it may have left."""
    message_id = _id_of(visit)
    async with visit.transaction() as opened:
        result = await recall.cancel(opened, visit.account_id, message_id)
        found = _found(await messages.get(opened, visit.account_id, message_id))
        check_mode(visit, found.sender)
        if result is not RecallResult.DONE:
            detail = "The message may have left, or has come to its end."
            raise _too_late("already_left", detail, found)
        parts = await messages.parts(opened, message_id)
    return await answer_with(visit, found, parts)


async def reschedule(visit: Visit) -> web.Response:
    """The message with its new time; 409 once its own has come."""
    message_id = _id_of(visit)
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(requests.message_change_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    async with visit.transaction() as opened:
        before = _found(await messages.get(opened, visit.account_id, message_id))
        check_mode(visit, before.sender)
        if fault := requests.untimely(body.send_at, datetime.now(UTC), before.created_at):
            raise Refused(fault)
        send_at = body.send_at.astimezone(UTC)
        if before.status == MessageStatus.SCHEDULED:
            await _check_rules(visit, opened, before, send_at)
        result = await recall.reschedule(opened, visit.account_id, message_id, send_at)
        found = _found(await messages.get(opened, visit.account_id, message_id))
        if result is not RecallResult.DONE:
            detail = "The message does not wait for a time of its own any more."
            raise _too_late("not_scheduled", detail, found)
        parts = await messages.parts(opened, message_id)
    return await answer_with(visit, found, parts)


async def _check_rules(
    visit: Visit,
    opened: connection.Connection,
    found: StoredMessage,
    send_at: datetime,
) -> None:
    """Raises Refused where what was allowed for its time is not for the new one."""
    current = visit.context.watch.current
    line = current.lines.of_sender(visit.account_id, found.sender)
    if line is None or found.verdict is None:
        return
    purpose = verdict_codes.decode(found.verdict).purpose
    wish = Wish(found.recipient, "", send_at=send_at, purpose=purpose)
    case = case_of(current, visit.account, line, wish, found.country, send_at)
    verdict = verdicts.judge(case)
    if verdict is None:
        known = await facts.of_cases(opened, {found.message_id: case})
        verdict = verdicts.judge(case, known[found.message_id])
    if verdict is not None and not verdict.allowed:
        raise Refused(refusals.problem_of(verdict_words.refusal(verdict)))


def _id_of(visit: Visit) -> UUID:
    message_id = queries.uuid_of(visit.request.match_info["id"])
    if message_id is None:
        raise no_such_message()
    return message_id


def _found(found: StoredMessage | None) -> StoredMessage:
    if found is None:
        raise no_such_message()
    return found


def _too_late(code: str, detail: str, found: StoredMessage) -> Refused:
    return Refused(replace(problems.of(409, code, detail), message_status=found.status))
