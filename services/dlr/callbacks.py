"""Carriers' HTTP calls: believed or refused, published, and answered once the broker has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from aiohttp import web

from services.dlr import interpreters, metrics
from shared.broker import envelopes, publish, topology
from shared.carriers import contract
from shared.runtime import batching, ids

_log = structlog.get_logger()

BODY_MAX_BYTES = 256 * 1024
READ_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5
WAITING_RECEIPT_COUNT_MAX = 20_000
"""Receipts that wait for the broker; above it carriers are asked to come again."""


class Callbacks:
    """The door for all carriers that call us."""

    def __init__(self, readers: interpreters.Interpreters, publisher: publish.Publisher) -> None:
        self._readers = readers
        self._publisher = publisher
        self._outgoing = batching.Batcher[envelopes.RawReceipt, None](
            self._publish,
            size=envelopes.ENVELOPE_ITEM_COUNT_MAX,
            concurrency=4,
            waiting=WAITING_RECEIPT_COUNT_MAX,
        )

    def application(self) -> web.Application:
        """The two paths, with a limit on what is read."""
        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_post("/carriers/{name}/receipts", self._receive)
        app.router.add_post("/carriers/{name}/receipts/{secret}", self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.Response:
        response = await self._answer(request)
        metrics.CALLBACKS.labels(str(response.status)).inc()
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        reader = self._readers.named(name)
        if reader is None:
            return _not_found()
        body = await _read(request)
        if isinstance(body, web.Response):
            return body
        admitted = reader.admit(
            contract.CallbackRequest(
                path_secret=request.match_info.get("secret", ""),
                headers=_texts(request.headers),
                query=request.query,
                content_type=request.headers.get("Content-Type", ""),
                body=body,
            )
        )
        if admitted is None:
            return _not_found()
        if isinstance(admitted, contract.CallbackRefusal):
            _log.warning("callback_refused", carrier=name, status=admitted.status)
            known = admitted.status != HTTPStatus.NOT_FOUND
            return _problem(admitted.status, admitted.detail) if known else _not_found()
        return await self._store(reader.carrier_id, admitted)

    async def _store(self, carrier_id: int, bodies: Sequence[bytes]) -> web.Response:
        """200 once every receipt of the call is on the broker's disk, else 503: the carrier
        repeats the call, and what had been stored of it does no harm twice."""
        if len(self._outgoing) + len(bodies) > WAITING_RECEIPT_COUNT_MAX:
            return _come_again("too many receipts are waiting")
        now_ms = time.time_ns() // 1_000_000
        try:
            await asyncio.gather(
                *(
                    self._outgoing.add(envelopes.RawReceipt(ids.uuid7(), carrier_id, now_ms, body))
                    for body in bodies
                )
            )
        except publish.NotPublished as error:
            _log.warning("callback_not_stored", count=len(bodies), error=str(error))
            return _come_again("the receipts could not be stored")
        return web.Response()

    async def _publish(self, receipts: Sequence[envelopes.RawReceipt]) -> Sequence[None]:
        await self._publisher.publish(topology.RECEIPTS, envelopes.encode_receipts(list(receipts)))
        return [None] * len(receipts)


async def _read(request: web.Request) -> bytes | web.Response:
    """The body as it was sent, for a signature is over its bytes; or why it is not read."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not read")
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return _problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body is at most {BODY_MAX_BYTES} bytes"
        )
    except TimeoutError:
        return _problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time")
    except (web.RequestPayloadError, ConnectionError):
        return _problem(HTTPStatus.BAD_REQUEST, "the body was cut short")


def _texts(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as text that can be encoded again: aiohttp hides stray bytes in lone surrogates."""
    return {name: value.encode(errors="replace").decode() for name, value in headers.items()}


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as RFC 9457 writes it."""
    title = HTTPStatus(status).phrase
    return web.json_response(
        {"type": "about:blank", "title": title, "status": int(status), "detail": detail},
        status=status,
        headers=headers,
        content_type="application/problem+json",
    )


def _not_found() -> web.Response:
    """The same for no such carrier and for one that does not call: names cannot be tried out."""
    return _problem(HTTPStatus.NOT_FOUND, "no carrier calls here")


def _come_again(detail: str) -> web.Response:
    return _problem(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)}
    )
