"""The one layer around all handlers: whatever they raise becomes a problem document."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web

from shared.db import connection
from shared.web import problems

_log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever the handlers raise."""
    try:
        return await handler(request)
    except problems.Refused as refused:
        return problems.response(refused.problem, refused.headers)
    except web.HTTPException as raised:
        return _of_aiohttp(raised)
    except connection.UNREACHABLE as error:
        _log.warning("request_not_served", route=_route(request), error=type(error).__name__)
        away = problems.unavailable()
        return problems.response(away.problem, away.headers)
    except Exception as error:
        # The frames without the error's own words, which may quote a text or a number.
        frames = traceback.format_tb(error.__traceback__)
        _log.error(
            "request_failed", route=_route(request), error=type(error).__name__, frames=frames
        )
        detail = "Something went wrong on our side."
        return problems.response(problems.of(500, "internal_error", detail))


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource else '(none)'}"


_OF_AIOHTTP = {
    HTTPStatus.NOT_FOUND: problems.of(404, "no_such_path", "There is nothing at this path."),
    HTTPStatus.METHOD_NOT_ALLOWED: problems.of(
        405, "method_not_allowed", "This path does not have this method; Allow lists those it has."
    ),
}


def _of_aiohttp(raised: web.HTTPException) -> web.Response:
    known = _OF_AIOHTTP.get(HTTPStatus(raised.status))
    if known is None:
        phrase = HTTPStatus(raised.status).phrase
        known = problems.of(raised.status, phrase.lower().replace(" ", "_"), f"{phrase}.")
    allowed = raised.headers.get("Allow")
    return problems.response(known, None if allowed is None else {"Allow": allowed})
