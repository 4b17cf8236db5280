"""What a request that is not served is told: RFC 9457 problems, each with a code to go by."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web

from shared.db import connection
from shared.rules.compose import Refusal

_log = structlog.get_logger()

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


class Refused(Exception):
    """Ends the handling of a request; the middleware answers with its problem."""

    def __init__(self, refusal: Refusal, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.headers = headers or {}


_encode = msgspec.json.Encoder().encode


def sentence(words: str) -> str:
    """A capital letter in front and a full stop at the end, whoever said it."""
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def encode(refusal: Refusal) -> bytes:
    """The body of the answer to a refused request."""
    return _encode(
        Problem(
            type=TYPE_PREFIX + refusal.code,
            title=refusal.code.replace("_", " ").capitalize(),
            status=refusal.status,
            detail=sentence(refusal.detail),
            code=refusal.code,
            field=msgspec.UNSET if refusal.field is None else refusal.field,
        )
    )


def response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to a refused request."""
    return encoded_response(refusal.status, encode(refusal), headers)


def encoded_response(
    status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer whose problem is bytes already."""
    return web.Response(
        status=status, body=body, headers={"Content-Type": CONTENT_TYPE, **(headers or {})}
    )


def unavailable(retry_after_seconds: int = RETRY_AFTER_SECONDS) -> Refused:
    """Nothing is known to have been done; the same request may be made again."""
    return Refused(
        Refusal(503, "unavailable", "The request could not be completed now. Try again."),
        {"Retry-After": str(retry_after_seconds)},
    )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The only layer around the handlers: whatever they raise becomes a problem."""
    try:
        return await handler(request)
    except Refused as refused:
        return response(refused.refusal, refused.headers)
    except web.HTTPException as raised:
        return _of_aiohttp(raised)
    except connection.UNREACHABLE as error:
        _log.warning("request_not_served", route=_route(request), error=type(error).__name__)
        away = unavailable()
        return response(away.refusal, away.headers)
    except Exception as error:
        # The frames without the error's own words, which may quote a text or a number.
        frames = traceback.format_tb(error.__traceback__)
        _log.error(
            "request_failed", route=_route(request), error=type(error).__name__, frames=frames
        )
        return response(Refusal(500, "internal_error", "Something went wrong on our side."))


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource else '(none)'}"


_OF_AIOHTTP = {
    HTTPStatus.NOT_FOUND: Refusal(404, "no_such_path", "There is nothing at this path."),
    HTTPStatus.METHOD_NOT_ALLOWED: Refusal(
        405, "method_not_allowed", "This path does not have this method; Allow lists those it has."
    ),
}


def _of_aiohttp(raised: web.HTTPException) -> web.Response:
    refusal = _OF_AIOHTTP.get(HTTPStatus(raised.status))
    if refusal is None:
        phrase = HTTPStatus(raised.status).phrase
        refusal = Refusal(raised.status, phrase.lower().replace(" ", "_"), f"{phrase}.")
    allowed = raised.headers.get("Allow")
    return response(refusal, None if allowed is None else {"Allow": allowed})
