"""The paths of this API, under its prefix, and who handles them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.ingest.aircall import answers, configurations, faults, phone_numbers, sends, webhooks
from services.ingest.web import auth, entrance
from shared.access.rights import AccessScope, Area, Need
from shared.db import connection
from shared.web import bodies, refused

Handler = Callable[[entrance.Visit], Awaitable[web.Response]]

_NUMBER = "/v1/numbers/{id}"
_CONFIGURATION = f"{_NUMBER}/messages/configuration"
_WEBHOOK = "/v1/webhooks/{id}"

_READ, _SEND, _ADMIN = (
    Need(Area.MESSAGES, scope) for scope in (AccessScope.READ, AccessScope.SEND, AccessScope.ADMIN)
)

ROUTES: tuple[tuple[str, str, Handler, Need], ...] = (
    ("GET", "/v1/ping", phone_numbers.ping, _READ),
    ("GET", "/v1/company", phone_numbers.company, _READ),
    ("GET", "/v1/numbers", phone_numbers.number_list, _READ),
    ("GET", _NUMBER, phone_numbers.number, _READ),
    ("GET", f"{_NUMBER}/registration_status", phone_numbers.registration_status, _READ),
    ("POST", _CONFIGURATION, configurations.configure, _ADMIN),
    ("GET", _CONFIGURATION, configurations.configuration, _READ),
    ("DELETE", _CONFIGURATION, configurations.delete_configuration, _ADMIN),
    ("POST", f"{_NUMBER}/messages/send", sends.send, _SEND),
    ("POST", f"{_NUMBER}/messages/native/send", sends.send_native, _SEND),
    ("POST", "/v1/webhooks", webhooks.create_webhook, _ADMIN),
    ("GET", "/v1/webhooks", webhooks.webhook_list, _READ),
    ("GET", _WEBHOOK, webhooks.webhook, _READ),
    ("PUT", _WEBHOOK, webhooks.change_webhook, _ADMIN),
    ("DELETE", _WEBHOOK, webhooks.delete_webhook, _ADMIN),
)


def add_routes(app: web.Application, context: entrance.Context) -> None:
    """Put this API under its prefix of an application that counts requests."""
    own = web.Application()
    own.middlewares.append(
        refused.answering(refused.counted_outside, away=connection.UNREACHABLE, told=faults.told)
    )
    for method, path, handler, need in ROUTES:
        admitting = _admitting(context, handler, need)
        own.router.add_route(method, path, admitting, expect_handler=bodies.wait_to_continue)
    app.add_subapp(answers.PREFIX, own)


def _admitting(
    context: entrance.Context, handler: Handler, need: Need
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def admit(request: web.Request) -> web.Response:
        return await handler(await entrance.enter(context, request, need, auth.basic))

    return admit
