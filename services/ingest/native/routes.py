"""The paths of the API, and who may take them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from services.ingest.native import (
    answers,
    consent_shapes,
    consents,
    deposit_routes,
    invoice_routes,
    lines,
    opt_outs,
    people_routes,
    price_routes,
    queries,
    reads,
    recalls,
    requests,
    sends,
    statistics_routes,
    webhooks,
)
from services.ingest.native.route import BODY_REFUSALS, Route
from services.ingest.web import counts, entrance
from shared.access.rights import AccessScope
from shared.db import connection
from shared.shapes import consent, line, message_trace, opt_out
from shared.web import bodies, refused

DOCUMENT = Path(__file__).with_name("openapi.json")

Context = entrance.Context


_READ, _SEND, _ADMIN = AccessScope.READ, AccessScope.SEND, AccessScope.ADMIN

_MESSAGES: tuple[Route[entrance.Visit], ...] = (
    Route(
        "POST",
        "/v1/messages",
        sends.send,
        "Send a message",
        {202: answers.Accepted, 200: answers.DryRun},
        (402, 409, *BODY_REFUSALS),
        needs=_SEND,
        body=requests.SendBody,
        has_key=True,
    ),
    Route(
        "POST",
        "/v1/messages/batch",
        sends.send_batch,
        "Send up to 1,000 messages, each with a result of its own",
        {202: answers.BatchAccepted, 200: answers.BatchAccepted},
        (409, *BODY_REFUSALS),
        needs=_SEND,
        body=requests.BatchBody,
        has_key=True,
    ),
    Route(
        "POST",
        "/v1/preview",
        sends.preview,
        "Measure and price a text without sending it",
        {200: answers.Preview},
        BODY_REFUSALS,
        needs=_READ,
        body=requests.PreviewBody,
    ),
    Route(
        "GET",
        "/v1/messages/{id}",
        reads.message,
        "One message with its parts",
        {200: answers.WaitingMessage},
        (404,),
        needs=_READ,
    ),
    Route(
        "PATCH",
        "/v1/messages/{id}",
        recalls.reschedule,
        "Send a scheduled message at another time, until its own has come",
        {200: answers.WaitingMessage},
        (404, 409, *BODY_REFUSALS),
        needs=_SEND,
        body=requests.MessageChange,
    ),
    Route(
        "POST",
        "/v1/messages/{id}/cancel",
        recalls.cancel,
        "Cancel and refund a message of which nothing has left; doing it twice does no harm",
        {200: answers.WaitingMessage},
        (404, 409),
        needs=_SEND,
    ),
    Route(
        "GET",
        "/v1/messages/{id}/trace",
        reads.message_trace,
        "Why a message stands where it does: everything that happened to it",
        {200: message_trace.Trace},
        (404,),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/messages",
        reads.message_list,
        "The account's messages, newest first",
        {200: answers.MessagePage},
        (400, 422),
        needs=_READ,
        query=queries.ListQuery,
    ),
    Route(
        "GET",
        "/v1/events",
        reads.event_list,
        "What changed since a cursor, oldest first",
        {200: answers.EventPage},
        (400, 422),
        needs=_READ,
        query=queries.EventsQuery,
    ),
    Route(
        "GET",
        "/v1/inbound",
        reads.inbound_list,
        "What phones have sent since a cursor, oldest first",
        {200: answers.InboundPage},
        (400, 422),
        needs=_READ,
        query=queries.InboundQuery,
    ),
    Route(
        "GET",
        "/v1/lines",
        lines.line_list,
        "The account's lines, in the order of their ids",
        {200: answers.LinePage},
        (400, 422),
        needs=_READ,
        query=queries.LinesQuery,
    ),
    Route(
        "GET",
        "/v1/lines/{line_id}",
        lines.line,
        "One line: what it can, whom it serves, what it is registered for",
        {200: line.Line},
        (404,),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/lines/{line_id}/limits",
        lines.line_limits,
        "What is used of every limit that messages from a line meet, and when it returns",
        {200: line.LineUsage},
        (404,),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/opt-outs",
        opt_outs.opt_out_list,
        "Phones that must not be written to, in the order of their numbers",
        {200: answers.OptOutPage},
        (400, 422),
        needs=_READ,
        query=queries.OptOutQuery,
    ),
    Route(
        "PUT",
        "/v1/opt-outs/{number}",
        opt_outs.opt_out,
        "Write to a phone no more, whatever waits for it",
        {200: opt_out.OptOut, 201: opt_out.OptOut},
        BODY_REFUSALS,
        needs=_SEND,
        body=requests.OptOutBody,
        needs_body=False,
    ),
    Route(
        "DELETE",
        "/v1/opt-outs/{number}",
        opt_outs.opt_in,
        "Write to a phone again, for a stated reason",
        {204: None},
        (400, 404, 422),
        needs=_SEND,
        query=queries.OptInQuery,
    ),
    Route(
        "POST",
        "/v1/opt-outs/import",
        opt_outs.import_opt_outs,
        "Write to many phones no more",
        {200: answers.OptOutsImported},
        BODY_REFUSALS,
        needs=_SEND,
        body=requests.OptOutImport,
    ),
    Route(
        "GET",
        "/v1/consents",
        consents.consent_list,
        "Phones whose consent is in force, in the order of their numbers",
        {200: consent_shapes.ConsentPage},
        (400, 422),
        needs=_READ,
        query=queries.ConsentQuery,
    ),
    Route(
        "GET",
        "/v1/consents/{number}",
        consents.consent_proof,
        "When, where and to what a phone has agreed, also before",
        {200: consent_shapes.ConsentProof},
        (404, 422),
        needs=_READ,
    ),
    Route(
        "PUT",
        "/v1/consents/{number}",
        consents.record_consent,
        "Record that a phone has agreed to be written to",
        {200: consent.Consent, 201: consent.Consent},
        BODY_REFUSALS,
        needs=_SEND,
        body=consent_shapes.ConsentBody,
    ),
    Route(
        "DELETE",
        "/v1/consents/{number}",
        consents.withdraw_consent,
        "Withdraw a phone's consent, for a stated reason",
        {204: None},
        (400, 404, 422),
        needs=_SEND,
        query=queries.WithdrawalQuery,
    ),
    Route(
        "POST",
        "/v1/consents/import",
        consents.import_consents,
        "Record that many phones have agreed to be written to",
        {200: consent_shapes.ConsentsImported},
        BODY_REFUSALS,
        needs=_SEND,
        body=consent_shapes.ConsentImport,
    ),
    Route(
        "POST",
        "/v1/webhooks",
        webhooks.create_webhook,
        "Have events posted to a URL",
        {201: answers.WebhookWithSecret},
        (409, *BODY_REFUSALS),
        needs=_ADMIN,
        body=requests.WebhookBody,
    ),
    Route(
        "GET",
        "/v1/webhooks",
        webhooks.webhook_list,
        "The account's webhooks",
        {200: answers.WebhookList},
        (),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/webhooks/{id}",
        webhooks.webhook,
        "One webhook and how it fares",
        {200: answers.Webhook},
        (404,),
        needs=_READ,
    ),
    Route(
        "PATCH",
        "/v1/webhooks/{id}",
        webhooks.change_webhook,
        "Change a webhook, disable it, or have it tried again",
        {200: answers.Webhook},
        (404, *BODY_REFUSALS),
        needs=_ADMIN,
        body=requests.WebhookChange,
    ),
    Route(
        "DELETE",
        "/v1/webhooks/{id}",
        webhooks.delete_webhook,
        "Delete a webhook",
        {204: None},
        (404,),
        needs=_ADMIN,
    ),
    Route(
        "POST",
        "/v1/webhooks/{id}/rotate",
        webhooks.rotate_secret,
        "Sign with a new secret, and for a day with the old one too",
        {200: answers.WebhookWithSecret},
        (404,),
        needs=_ADMIN,
    ),
    Route(
        "POST",
        "/v1/webhooks/{id}/replay",
        webhooks.replay_events,
        "Tell a webhook once more of what followed a cursor",
        {202: answers.Webhook},
        (400, 404, 422),
        needs=_ADMIN,
        query=queries.ReplayQuery,
    ),
    Route(
        "GET",
        "/v1/webhooks/{id}/tries",
        webhooks.try_list,
        "What was tried for a webhook in the last week, newest first",
        {200: answers.WebhookTryPage},
        (400, 404, 422),
        needs=_READ,
        query=queries.TriesQuery,
    ),
)


ROUTES = (
    *_MESSAGES,
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
