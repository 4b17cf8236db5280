"""The paths of this API, under its prefix, and who handles them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.ingest.mailjet import answers, exports, faults, reads, sends
from services.ingest.web import entrance
from shared.access.rights import AccessScope, Area, Need
from shared.db import connection
from shared.web import bodies, refused

Handler = Callable[[entrance.Visit], Awaitable[web.Response]]

_READ, _SEND = (Need(Area.MESSAGES, scope) for scope in (AccessScope.READ, AccessScope.SEND))
_EXPORT = Need(Area.STATISTICS, AccessScope.READ)

ROUTES: tuple[tuple[str, str, Handler, Need], ...] = (
    ("POST", "/sms-send", sends.send, _SEND),
    ("GET", "/sms", reads.message_list, _READ),
    ("GET", "/sms/count", reads.message_count, _READ),
    ("POST", "/sms/export", exports.request_export, _EXPORT),
    ("GET", "/sms/export", exports.export_without_id, _EXPORT),
    ("GET", "/sms/export/{id}", exports.export, _EXPORT),
    ("GET", "/sms/{id}/export", exports.export, _EXPORT),
    ("GET", "/sms/{id}", reads.message, _READ),
)
ROOTS = ("", "/REST")
"""Releases of the Python client put the second before every path."""


def add_routes(app: web.Application, context: entrance.Context) -> None:
    """Put this API under its prefix of an application that counts requests."""
    own = web.Application()
    own.middlewares.append(
        refused.answering(refused.counted_outside, away=connection.UNREACHABLE, told=faults.told)
    )
    for root in ROOTS:
        for method, path, handler, need in ROUTES:
            admitting = _admitting(context, handler, need)
            own.router.add_route(
                method, root + path, admitting, expect_handler=bodies.wait_to_continue
            )
    app.add_subapp(answers.PREFIX, own)


def _admitting(
    context: entrance.Context, handler: Handler, need: Need
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def admit(request: web.Request) -> web.Response:
        return await handler(await entrance.enter(context, request, need))

    return admit
