"""The one layer around all handlers of a service: whatever they raise becomes a problem."""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from shared.web import problems

_log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Observer = Callable[[web.Request, web.StreamResponse, float], None]
"""Told of each request, its answer, and the seconds that took."""
Told = Callable[[web.Request, problems.Refused], web.Response]
"""How a face puts a refusal."""


def _told(_request: web.Request, refused: problems.Refused) -> web.Response:
    return problems.response(refused.problem, refused.headers)


def counted_outside(_request: web.Request, _response: web.StreamResponse, _seconds: float) -> None:
    """Observes nothing: of an application inside another, which does it."""


def answering(
    observe: Observer, *, away: tuple[type[BaseException], ...] = (), told: Told = _told
) -> Middleware:
    """A layer that answers whatever the handlers raise; errors of the kinds in `away` mean that a
    server is away: the request may be made again. What a refusal looks like, `told` says."""

    @web.middleware
    async def layer(request: web.Request, handler: Handler) -> web.StreamResponse:
        began_at = time.perf_counter()
        try:
            response = await handler(request)
        except Exception as error:
            response = told(request, _refusal(request, error, away))
        observe(request, response, time.perf_counter() - began_at)
        return response

    return layer


def _refusal(
    request: web.Request, error: Exception, away: tuple[type[BaseException], ...]
) -> problems.Refused:
    if isinstance(error, problems.Refused):
        return error
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error)
    if isinstance(error, away):
        _log.warning("request_not_served", route=route(request), error=type(error).__name__)
        return problems.unavailable()
    # The frames without the error's own words, which may quote a text or a number.
    frames = traceback.format_tb(error.__traceback__)
    _log.error("request_failed", route=route(request), error=type(error).__name__, frames=frames)
    detail = "Something went wrong on our side."
    return problems.Refused(problems.of(500, "internal_error", detail))


def route(request: web.Request) -> str:
    """A request's method and path with names in place of what varies; "(none)" for no path."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource else "(none)"


_OF_AIOHTTP = {
    HTTPStatus.NOT_FOUND: problems.of(404, "no_such_path", "There is nothing at this path."),
    HTTPStatus.METHOD_NOT_ALLOWED: problems.of(
        405, "method_not_allowed", "This path does not have this method; Allow lists those it has."
    ),
}


def _of_aiohttp(raised: web.HTTPException) -> problems.Refused:
    known = _OF_AIOHTTP.get(HTTPStatus(raised.status))
    if known is None:
        phrase = HTTPStatus(raised.status).phrase
        known = problems.of(raised.status, phrase.lower().replace(" ", "_"), f"{phrase}.")
    allowed = raised.headers.get("Allow")
    return problems.Refused(known, None if allowed is None else {"Allow": allowed})
