"""What a refusal looks like here: a flat object with the vendor's code, or with one of ours."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import msgspec
from aiohttp import web

from services.ingest.mailjet import answers
from services.ingest.web import counts, refusals
from shared.rules.refusals import Code, Refusal, Subject
from shared.web import problems
from shared.web.problems import Problem, Refused

CODES: Mapping[str, str] = {
    Code.INSUFFICIENT_FUNDS: "sms-0001",
    Code.UNSUPPORTED_COUNTRY: "sms-0002",
    Code.DAILY_LIMIT_REACHED: "sms-0003",
    "no_deposit": "sms-0004",
    "malformed_json": "mj-0002",
    "not_utf8": "mj-0002",
    "too_deep": "mj-0002",
    "lone_surrogate": "mj-0002",
    "body_cut_short": "mj-0002",
    "missing_field": "mj-0003",
    "wrong_type": "mj-0004",
    "unknown_field": "mj-0004",
    "unknown_status_code": "mj-0005",
    "too_long": "mj-0006",
    Code.TEXT_TOO_LONG: "mj-0006",
    "invalid_time": "mj-0009",
    "body_too_large": "mj-0011",
    "unauthorized": "mj-0015",
    "too_short": "mj-0020",
    Code.EMPTY_TEXT: "mj-0020",
    "above_maximum": "mj-0025",
}
"""The vendor's codes for ours. What has none is `sluice-` and our code."""
FORBIDDEN = "mj-0021"
"""Of all that a good token does not open."""

_TEXTS: Mapping[str, str] = {
    Code.INSUFFICIENT_FUNDS: "Insufficient funds.",
    Code.UNSUPPORTED_COUNTRY: "Unsupported country code.",
    "unauthorized": "API key authentication/authorization failure. You may be unauthorized to "
    "access the API or your API key may be expired.",
}
"""Where clients have been seen to look at the text."""

_STATUSES: Mapping[str, int] = {
    # The vendor's; other faces have 413 and 422.
    "body_too_large": 400,
    "lone_surrogate": 400,
    # Some clients repeat by themselves what is answered so, and only that.
    "key_still_running": 503,
    # The account's currency changed while the message was on its way in.
    Code.CURRENCY_CHANGED: 503,
    Code.NOT_YET: 503,
}
_RETRY_SECONDS = 1
_MEMBERS: Mapping[Subject, str] = {
    Subject.RECIPIENT: "To",
    Subject.SENDER: "From",
    Subject.TEXT: "Text",
}


class ErrorEnvelope(msgspec.Struct, frozen=True, rename="pascal"):
    """Its members in the order that clients' tests pin."""

    error_identifier: str
    error_code: str
    status_code: int
    error_message: str
    error_related_to: list[str]


def told(request: web.Request, refused: Refused) -> web.Response:
    """The answer to a request that was refused."""
    problem = refused.problem
    request[counts.REFUSED_FOR] = problem.code
    status = _STATUSES.get(problem.code, problem.status)
    envelope = ErrorEnvelope(
        error_identifier=str(uuid.uuid4()),
        error_code=FORBIDDEN if status == 403 else code_of(problem.code),
        status_code=status,
        error_message=_TEXTS.get(problem.code, problem.detail),
        error_related_to=[problem.field] if problem.field else [],
    )
    response = answers.response(envelope, status)
    for name in ("Retry-After", "Allow", "Connection", "WWW-Authenticate"):
        if name in refused.headers:
            response.headers[name] = refused.headers[name]
    if status == 503:
        response.headers.setdefault("Retry-After", str(_RETRY_SECONDS))
    return response


def code_of(code: str) -> str:
    """The vendor's code for one of ours, or ours as one of its kind."""
    return CODES.get(code) or f"sluice-{code.replace('_', '-')}"


def of_refusal(refusal: Refusal) -> Problem:
    """The problem of a message that is refused for this reason: 400, for 403 says that the token
    is at fault."""
    field = None if refusal.subject is None else _MEMBERS.get(refusal.subject)
    return refusals.problem(refusal, _STATUSES.get(refusal.code, 400), field)


def invalid(code: str, detail: str, field: str | None = None) -> Refused:
    """400 for a body or a query that says something wrong."""
    return Refused(problems.of(400, code, detail, field))


def missing(what: str) -> Refused:
    """404, alike for another account's and for none."""
    return Refused(problems.of(404, f"no_such_{what}", f"There is no {what} with this id."))


def forbidden(code: str, detail: str) -> Refused:
    """403 for what this API does not show or do."""
    return Refused(problems.of(403, code, detail))
