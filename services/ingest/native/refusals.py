"""What a refusal of the core is called here: its HTTP status, and the member of the body."""

from __future__ import annotations

from collections.abc import Mapping

from services.ingest.web import refusals as core_refusals
from shared.rules.refusals import Code, Refusal, Subject
from shared.web import problems

STATUSES: Mapping[Code, int] = {
    Code.INVALID_RECIPIENT: 422,
    Code.SPECIAL_NUMBER: 422,
    Code.UNSUPPORTED_COUNTRY: 422,
    Code.OPTED_OUT: 422,
    Code.NO_DEFAULT_LINE: 422,
    Code.INVALID_SENDER: 422,
    Code.UNKNOWN_SENDER: 422,
    Code.EMPTY_TEXT: 422,
    Code.TEXT_TOO_LONG: 422,
    Code.INVALID_TEXT: 422,
    Code.OVER_MAX_SEGMENTS: 422,
    Code.OVER_LINE_LIMIT: 422,
    Code.OVER_MAX_PRICE: 422,
    Code.CURRENCY_CHANGED: 409,
    Code.DAILY_LIMIT_REACHED: 429,
    Code.SPEND_CAP_REACHED: 429,
    Code.VELOCITY_GUARD: 429,
    Code.INSUFFICIENT_FUNDS: 402,
    Code.WRONG_MODE: 403,
    Code.PLAN: 403,
    Code.SENDER_NOT_ALLOWED: 422,
    Code.ABROAD: 422,
    Code.CONVERSATION_ONLY: 422,
    Code.NOT_REGISTERED: 403,
    Code.NO_CONSENT: 422,
    Code.QUIET_HOURS: 422,
    Code.CANNOT_LEAVE_IN_TIME: 429,
    Code.NOT_YET: 503,
}
MEMBERS: Mapping[Subject, str] = {
    Subject.RECIPIENT: "to",
    Subject.SENDER: "from",
    Subject.TEXT: "text",
    Subject.SEGMENT_CEILING: "max_segments",
    Subject.PRICE_CEILING: "max_price",
    Subject.PURPOSE: "purpose",
}


def problem_of(refusal: Refusal) -> problems.Problem:
    """The problem that a message refused for this reason gets."""
    field = None if refusal.subject is None else MEMBERS[refusal.subject]
    return core_refusals.problem(refusal, STATUSES[refusal.code], field)
