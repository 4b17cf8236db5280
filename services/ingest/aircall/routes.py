"""The paths of this API, under its prefix, and who handles them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.ingest.aircall import answers, configurations, faults, phone_numbers, sends, webhooks
from services.ingest.web import auth, entrance
from shared.db import connection
from shared.web import bodies, refused

Handler = Callable[[entrance.Visit], Awaitable[web.Response]]

_NUMBER = "/v1/numbers/{id}"
_CONFIGURATION = f"{_NUMBER}/messages/configuration"
_WEBHOOK = "/v1/webhooks/{id}"

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/ping", phone_numbers.ping),
    ("GET", "/v1/company", phone_numbers.company),
    ("GET", "/v1/numbers", phone_numbers.number_list),
    ("GET", _NUMBER, phone_numbers.number),
    ("GET", f"{_NUMBER}/registration_status", phone_numbers.registration_status),
    ("POST", _CONFIGURATION, configurations.configure),
    ("GET", _CONFIGURATION, configurations.configuration),
    ("DELETE", _CONFIGURATION, configurations.delete_configuration),
    ("POST", f"{_NUMBER}/messages/send", sends.send),
    ("POST", f"{_NUMBER}/messages/native/send", sends.send_native),
    ("POST", "/v1/webhooks", webhooks.create_webhook),
    ("GET", "/v1/webhooks", webhooks.webhook_list),
    ("GET", _WEBHOOK, webhooks.webhook),
    ("PUT", _WEBHOOK, webhooks.change_webhook),
    ("DELETE", _WEBHOOK, webhooks.delete_webhook),
)


def add_routes(app: web.Application, context: entrance.Context) -> None:
    """Put this API under its prefix of an application that counts requests."""
    own = web.Application()
    own.middlewares.append(
        refused.answering(_counted_outside, away=connection.UNREACHABLE, told=faults.told)
    )
    for method, path, handler in ROUTES:
        admitting = _admitting(context, handler)
        own.router.add_route(method, path, admitting, expect_handler=bodies.wait_to_continue)
    app.add_subapp(answers.PREFIX, own)


def _counted_outside(_request: web.Request, _response: web.StreamResponse, _seconds: float) -> None:
    """The layer around all of the application does it."""


def _admitting(
    context: entrance.Context, handler: Handler
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def admit(request: web.Request) -> web.Response:
        return await handler(await entrance.enter(context, request, auth.basic))

    return admit
