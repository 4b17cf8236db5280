"""The paths of the API, and who may take them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from services.ingest.native import (
    answers,
    deposit_routes,
    invoice_routes,
    message_routes,
    people_routes,
    price_routes,
    statistics_routes,
)
from services.ingest.native.route import Route
from services.ingest.web import counts, entrance
from shared.db import connection
from shared.web import bodies, refused

DOCUMENT = Path(__file__).with_name("openapi.json")

Context = entrance.Context


ROUTES = (
    *message_routes.ROUTES,
    *people_routes.ROUTES,
    *deposit_routes.ROUTES,
    *price_routes.ROUTES,
    *invoice_routes.ROUTES,
    *statistics_routes.ROUTES,
)
"""What an account asks, by its token or in a user's session."""
OPEN_ROUTES = (
    *people_routes.OPEN_ROUTES,
    *price_routes.OPEN_ROUTES,
    *statistics_routes.OPEN_ROUTES,
)
"""What anybody may ask."""

_Served = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application, context: Context) -> None:
    """Give an application the API, its description, and the layer that answers refusals."""
    app.middlewares.append(refused.answering(counts.note, away=connection.UNREACHABLE))
    for route in ROUTES:
        _add(app, route.method, route.path, _admitting(context, route))
    for open_route in OPEN_ROUTES:
        _add(app, open_route.method, open_route.path, _open(context, open_route))
    app.router.add_get("/openapi.json", _serving(DOCUMENT.read_bytes()))


def _add(app: web.Application, method: str, path: str, handler: _Served) -> None:
    expect = bodies.wait_to_continue
    if method == "GET":
        app.router.add_get(path, handler, expect_handler=expect)
    else:
        app.router.add_route(method, path, handler, expect_handler=expect)


def _admitting(context: Context, route: Route[entrance.Visit]) -> _Served:
    handler, need = route.handler, route.need

    async def admit(request: web.Request) -> web.StreamResponse:
        return await handler(await entrance.enter(context, request, need))

    return admit


def _open(context: Context, route: Route[entrance.Passage]) -> _Served:
    handler = route.handler

    async def serve(request: web.Request) -> web.StreamResponse:
        return await handler(entrance.Passage(request, context))

    return serve


def _serving(document: bytes) -> _Served:
    async def serve(_request: web.Request) -> web.Response:
        return answers.response(document)

    return serve
