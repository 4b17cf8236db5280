"""The paths of this API, under its prefix, and who handles them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.ingest.mailjet import answers, faults, reads, sends
from services.ingest.web import auth, entrance
from shared.db import connection
from shared.web import bodies, refused

Handler = Callable[[entrance.Visit], Awaitable[web.Response]]

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/sms-send", sends.send),
    ("GET", "/sms", reads.message_list),
    ("GET", "/sms/count", reads.message_count),
    ("GET", "/sms/{id}", reads.message),
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
        for method, path, handler in ROUTES:
            admitting = _admitting(context, handler)
            own.router.add_route(
                method, root + path, admitting, expect_handler=bodies.wait_to_continue
            )
    app.add_subapp(answers.PREFIX, own)


def _admitting(
    context: entrance.Context, handler: Handler
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def admit(request: web.Request) -> web.Response:
        return await handler(await entrance.enter(context, request, auth.bearer))

    return admit
