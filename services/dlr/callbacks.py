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
from shared.web import bodies, problems

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
        try:
            response = await self._answer(request)
        except problems.Refused as refused:
            response = problems.response(refused.problem, refused.headers)
        metrics.CALLBACKS.labels(str(response.status)).inc()
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        reader = self._readers.named(name)
        if reader is None:
            return _not_found()
        admitted = reader.admit(
            contract.CallbackRequest(
                path_secret=request.match_info.get("secret", ""),
                headers=_texts(request.headers),
                query=request.query,
                content_type=request.headers.get("Content-Type", ""),
                body=await _read(request),
            )
        )
        if admitted is None:
            return _not_found()
        if isinstance(admitted, contract.CallbackRefusal):
            _log.warning("callback_refused", carrier=name, status=admitted.status)
            return _refused(admitted)
        return await self._store(reader.carrier_id, admitted)

    async def _store(self, carrier_id: int, receipts: Sequence[bytes]) -> web.Response:
        """200 once every receipt of the call is on the broker's disk, else 503: the carrier
        repeats the call, and what had been stored of it does no harm twice."""
        if len(self._outgoing) + len(receipts) > WAITING_RECEIPT_COUNT_MAX:
            return _come_again("too many receipts are waiting")
        now_ms = time.time_ns() // 1_000_000
        try:
            await asyncio.gather(
                *(
                    self._outgoing.add(envelopes.RawReceipt(ids.uuid7(), carrier_id, now_ms, body))
                    for body in receipts
                )
            )
        except publish.NotPublished as error:
            _log.warning("callback_not_stored", count=len(receipts), error=str(error))
            return _come_again("the receipts could not be stored")
        return web.Response()

    async def _publish(self, receipts: Sequence[envelopes.RawReceipt]) -> Sequence[None]:
        await self._publisher.publish(topology.RECEIPTS, envelopes.encode_receipts(list(receipts)))
        return [None] * len(receipts)


async def _read(request: web.Request) -> bytes:
    """The body as it was sent, for a signature is over its bytes. Raises Refused."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise bodies.encoded()
    return await bodies.read(request, BODY_MAX_BYTES, READ_SECONDS)


def _texts(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as text that can be encoded again: aiohttp hides stray bytes in lone surrogates."""
    return {name: value.encode(errors="replace").decode() for name, value in headers.items()}


def _refused(refusal: contract.CallbackRefusal) -> web.Response:
    status = HTTPStatus(refusal.status)
    if status is HTTPStatus.NOT_FOUND:
        return _not_found()
    return problems.response(problems.of(refusal.status, status.name.lower(), refusal.detail))


def _not_found() -> web.Response:
    """The same for no such carrier and for one that does not call: names cannot be tried out."""
    return problems.response(problems.of(404, "not_found", "no carrier calls here"))


def _come_again(detail: str) -> web.Response:
    return problems.response(
        problems.of(503, "unavailable", detail), {"Retry-After": str(RETRY_AFTER_SECONDS)}
    )
