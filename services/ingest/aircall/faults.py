"""What a refusal looks like here: a status and a key that clients know, and our own words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from services.ingest.aircall import answers
from services.ingest.web import counts, entrance, refusals
from shared.rules.refusals import Code, Refusal
from shared.web import problems
from shared.web.problems import Problem, Refused

_STATUSES: Mapping[Code, int] = {
    Code.INVALID_RECIPIENT: 400,
    Code.EMPTY_TEXT: 400,
    Code.TEXT_TOO_LONG: 400,
    Code.INVALID_TEXT: 400,
    Code.CURRENCY_CHANGED: 422,
    Code.INSUFFICIENT_FUNDS: 422,
    Code.NOT_YET: 503,
}
"""Of refusals that are not 403: what is against the message is not its sender's right."""

_KEYS: Mapping[str, str] = {
    "wrong_mode": "LineIsNotNativeException",
    "same_destination": "SameDestinationAsSender",
    "media_not_carried": "MediaNotSupported",
    "insufficient_funds": "InsufficientFunds",
}
_KEYS_BY_STATUS: Mapping[int, str] = {
    400: "InvalidPayload",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaType",
    422: "UnprocessableEntity",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


class _KeyedFault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Readers look at `message` first, then at `error`. The rest is ours: which of the platform's
    rules is against it, and from when on it would not be."""

    key: str
    error: str
    message: str
    rule: str | UnsetType = UNSET
    rules_version: int | UnsetType = UNSET
    possible_at: datetime | UnsetType = UNSET


class _WhoIsRefused(msgspec.Struct, frozen=True):
    message: str


def told(request: web.Request, refused: Refused) -> web.Response:
    """The answer to a request that was refused."""
    problem = refused.problem
    request[counts.REFUSED_FOR] = problem.code
    if problem.code == "unauthorized":
        # 403 says "bad key" here, and not "no right".
        if request.headers.get("Authorization"):
            return answers.response(_WhoIsRefused("Forbidden"), 403)
        return answers.response(_WhoIsRefused("Unauthorized"), 401)
    key = _KEYS.get(problem.code) or _KEYS_BY_STATUS.get(problem.status, "InternalError")
    message = f"{problem.field}: {problem.detail}" if problem.field else problem.detail
    fault = _KeyedFault(
        key=key,
        error=key,
        message=message,
        rule=problem.rule,
        rules_version=problem.rules_version,
        possible_at=problem.possible_at,
    )
    response = answers.response(fault, problem.status)
    for name in ("Retry-After", "Allow", "Connection"):
        if name in refused.headers:
            response.headers[name] = refused.headers[name]
    if isinstance(refused, entrance.TooManyRequests):
        response.headers.update(_limit_headers(refused))
    return response


def _limit_headers(refused: entrance.TooManyRequests) -> dict[str, str]:
    """On 429 alone: some clients take Reset on any answer for an exhausted limit."""
    return {
        "X-AircallApi-Limit": str(refused.limit_per_minute),
        "X-AircallApi-Remaining": "0",
        "X-AircallApi-Reset": str(int(time.time()) + refused.retry_after_seconds),
    }


def of_refusal(refusal: Refusal) -> Problem:
    """The problem of a message that is refused for this reason."""
    return refusals.problem(refusal, _STATUSES.get(refusal.code, 403))


def invalid(detail: str, field: str | None = None) -> Refused:
    """400 for a body or a query that says something wrong."""
    return Refused(problems.of(400, "invalid_payload", detail, field))


def forbidden(code: str, detail: str) -> Refused:
    """403 for what the account or the number may not do."""
    return Refused(problems.of(403, code, detail))


def missing(what: str) -> Refused:
    """404, alike for another account's and for none."""
    return Refused(problems.of(404, f"no_such_{what}", f"There is no {what} with this id."))
