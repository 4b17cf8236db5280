"""The paths of the API: who handles them, and what OpenAPI is told of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web

from services.ingest.native import answers, reads, requests, sends
from services.ingest.web import counts, entrance
from shared.db import connection
from shared.web import bodies, refused

DOCUMENT = Path(__file__).with_name("openapi.json")

Context = entrance.Context
Handler = Callable[[entrance.Visit], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `answers` are the successes by status; `refusals` the further statuses that
    this operation may answer with, beside those that all share."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, type[msgspec.Struct]]
    refusals: tuple[int, ...]
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    has_key: bool = False


_BODY_REFUSALS = (400, 408, 413, 415, 422)

ROUTES = (
    Route(
        "POST",
        "/v1/messages",
        sends.send,
        "Send a message",
        {202: answers.Accepted, 200: answers.DryRun},
        (402, 409, *_BODY_REFUSALS),
        body=requests.SendBody,
        has_key=True,
    ),
    Route(
        "POST",
        "/v1/messages/batch",
        sends.send_batch,
        "Send up to 1,000 messages, each with a result of its own",
        {202: answers.BatchAccepted, 200: answers.BatchAccepted},
        (409, *_BODY_REFUSALS),
        body=requests.BatchBody,
        has_key=True,
    ),
    Route(
        "POST",
        "/v1/preview",
        sends.preview,
        "Measure and price a text without sending it",
        {200: answers.Preview},
        _BODY_REFUSALS,
        body=requests.PreviewBody,
    ),
    Route(
        "GET",
        "/v1/messages/{id}",
        reads.message,
        "One message with its parts",
        {200: answers.MessageWithParts},
        (404,),
    ),
    Route(
        "GET",
        "/v1/messages",
        reads.message_list,
        "The account's messages, newest first",
        {200: answers.MessagePage},
        (400, 422),
        query=requests.ListQuery,
    ),
    Route("GET", "/v1/balance", reads.balance, "What the wallet holds", {200: answers.Money}, ()),
    Route(
        "GET",
        "/v1/events",
        reads.event_list,
        "What changed since a cursor, oldest first",
        {200: answers.EventPage},
        (400, 422),
        query=requests.EventsQuery,
    ),
)


def add_routes(app: web.Application, context: Context) -> None:
    """Give an application the API, its description, and the layer that answers refusals."""
    app.middlewares.append(refused.answering(counts.note, away=connection.UNREACHABLE))
    for route in ROUTES:
        add = app.router.add_get if route.method == "GET" else app.router.add_post
        handler = _admitting(context, route.handler)
        add(route.path, handler, expect_handler=bodies.wait_to_continue)
    app.router.add_get("/openapi.json", _serving(DOCUMENT.read_bytes()))


def _admitting(
    context: Context, handler: Handler
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def admit(request: web.Request) -> web.Response:
        return await handler(await entrance.enter(context, request))

    return admit


def _serving(document: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_request: web.Request) -> web.Response:
        return answers.response(document)

    return serve
