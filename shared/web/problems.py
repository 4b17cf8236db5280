"""What a request that is not served is told: RFC 9457 problems, each with a code to go by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from aiohttp import web

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:sluice:problem:"
RETRY_AFTER_SECONDS = 2


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused (RFC 9457). Below 500, nothing was stored or charged."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | msgspec.UnsetType = msgspec.UNSET
    """The member of the body, the query parameter or the header at fault."""
    message_status: str | msgspec.UnsetType = msgspec.UNSET
    """Where the message stands, for which it is too late."""
    rule: str | msgspec.UnsetType = msgspec.UNSET
    """Which of the platform's rules refuses it, by the `rules_version` that is in force."""
    rules_version: int | msgspec.UnsetType = msgspec.UNSET
    possible_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """From when on the same request is not refused for this."""


def of(status: int, code: str, detail: str, field: str | None = None) -> Problem:
    """The problem of this code, with the type and the title that belong to it."""
    return Problem(
        type=TYPE_PREFIX + code,
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        field=msgspec.UNSET if field is None else field,
    )


def sentence(words: str) -> str:
    """A capital letter in front and a full stop at the end, whoever said it."""
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


class Refused(Exception):
    """Ends the handling of a request; who catches it answers with its problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.headers = headers or {}


def unavailable(retry_after_seconds: int = RETRY_AFTER_SECONDS) -> Refused:
    """Nothing is known to have been done; the same request may be made again."""
    detail = "The request could not be completed now. Try again."
    return Refused(of(503, "unavailable", detail), {"Retry-After": str(retry_after_seconds)})


encode = msgspec.json.Encoder().encode


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to a refused request."""
    return encoded_response(problem.status, encode(problem), headers)


def encoded_response(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer whose problem is bytes already."""
    return web.Response(
        status=status, body=body, headers={"Content-Type": CONTENT_TYPE, **(headers or {})}
    )
