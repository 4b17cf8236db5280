"""Carriers' HTTP calls: believed or refused, and answered once what they bring is kept: receipts by
the broker, what phones send by PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import structlog
from aiohttp import web
from multidict import CIMultiDictProxy

from services.dlr import interpreters, metrics, reading
from shared.broker import envelopes, publish, topology
from shared.carriers import contract
from shared.db import connection
from shared.runtime import batching, ids
from shared.sms import inbound
from shared.web import addresses, bodies, problems, refused

_log = structlog.get_logger()

WAITING_RECEIPT_COUNT_MAX = 20_000
"""Receipts that wait for the broker; above it carriers are asked to come again."""


KeepInbound = Callable[[int, Sequence[inbound.InboundPart]], Awaitable[None]]
"""Stores what phones have sent through a carrier, or raises."""
_Take = Callable[[interpreters.Interpreter, contract.CallbackRequest], Awaitable[web.Response]]
_Admitted = TypeVar("_Admitted")


class Callbacks:
    """The door for all carriers that call us."""

    def __init__(
        self,
        readers: interpreters.Interpreters,
        publisher: publish.Publisher,
        keep_inbound: KeepInbound,
        proxies: addresses.Proxies | None = None,
    ) -> None:
        self._readers = readers
        self._keep_inbound = keep_inbound
        self._publisher = publisher
        self._proxies = proxies or addresses.Proxies(())
        self._unproven = reading.Unproven()
        self._outgoing = batching.Batcher[envelopes.RawReceipt, None](
            self._publish,
            size=envelopes.ENVELOPE_ITEM_COUNT_MAX,
            concurrency=4,
            beside_count=envelopes.ENVELOPE_ITEM_COUNT_MAX,
            waiting=WAITING_RECEIPT_COUNT_MAX,
        )

    def application(self) -> web.Application:
        """The paths, two for each kind. What is read of a call depends on its path alone, so that a
        carrier's name cannot be tried out: with a secret in it nothing, until that has proved
        right."""
        app = web.Application(client_max_size=reading.BODY_MAX_BYTES)
        app.middlewares.append(refused.answering(_count))
        for path, take in (
            ("/carriers/{name}/receipts", self._take_receipts),
            ("/carriers/{name}/inbound", self._take_inbound),
        ):
            for whole_path, receive in (
                (path, partial(self._receive_unproven, take)),
                (f"{path}/{{secret}}", partial(self._receive, take)),
            ):
                app.router.add_post(whole_path, receive, expect_handler=bodies.wait_to_continue)
                app.router.add_get(whole_path, receive, allow_head=False)
        return app

    async def _receive(self, take: _Take, request: web.Request) -> web.Response:
        name, secret = request.match_info["name"], request.match_info["secret"]
        reader = self._readers.named(name)
        if reader is None:
            raise _nobody_calls()
        if not reader.knows_secret(secret):
            raise _unproven(name)
        return await take(reader, self._call(request, secret, await reading.read(request)))

    async def _receive_unproven(self, take: _Take, request: web.Request) -> web.Response:
        """A call whose proof is over its body."""
        name = request.match_info["name"]
        reader = self._readers.named(name)
        body = await self._unproven.read(request, name if reader else reading.NOBODY)
        if reader is None:
            raise _nobody_calls()
        return await take(reader, self._call(request, "", body))

    def _call(self, request: web.Request, secret: str, body: bytes) -> contract.CallbackRequest:
        return contract.CallbackRequest(
            path_secret=secret,
            headers=_texts(request.headers),
            query=request.query,
            content_type=request.headers.get("Content-Type", ""),
            body=body,
            method=request.method,
            target=request.raw_path,
            address=self._proxies.client_of(request),
        )

    async def _take_receipts(
        self, reader: interpreters.Interpreter, call: contract.CallbackRequest
    ) -> web.Response:
        return await self._store(reader.carrier_id, _admitted(reader, reader.admit(call)))

    async def _take_inbound(
        self, reader: interpreters.Interpreter, call: contract.CallbackRequest
    ) -> web.Response:
        """200 once all of it is stored. Raises Refused with 503: the carrier repeats the call, and
        what had been stored of it is recognised."""
        parts = _admitted(reader, reader.admit_inbound(call))
        try:
            await self._keep_inbound(reader.carrier_id, parts)
        except connection.TRANSIENT as error:
            _log.warning("inbound_not_stored", count=len(parts), error=type(error).__name__)
            raise reading.come_again("the messages could not be stored") from None
        return web.Response()

    async def _store(self, carrier_id: int, receipts: Sequence[bytes]) -> web.Response:
        """200 once every receipt of the call is on the broker's disk. Raises Refused with 503: the
        carrier repeats the call, and what had been stored of it does no harm twice."""
        if len(self._outgoing) + len(receipts) > WAITING_RECEIPT_COUNT_MAX:
            raise reading.come_again("too many receipts are waiting")
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
            raise reading.come_again("the receipts could not be stored") from None
        return web.Response()

    async def _publish(self, receipts: Sequence[envelopes.RawReceipt]) -> Sequence[None]:
        await self._publisher.publish(topology.RECEIPTS, envelopes.encode_receipts(list(receipts)))
        return [None] * len(receipts)


def _admitted(
    reader: interpreters.Interpreter, admitted: _Admitted | contract.CallbackRefusal | None
) -> _Admitted:
    """What a call has brought. Raises Refused."""
    if admitted is None:
        raise _nobody_calls()
    if isinstance(admitted, contract.CallbackRefusal):
        raise _refused(reader.name, admitted)
    return admitted


def _texts(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Headers as text that can be encoded again: aiohttp hides stray bytes in lone surrogates. One
    that is repeated is all of its values (RFC 9110, section 5.2), so nobody's word is the first."""
    return {
        name: ", ".join(headers.getall(name)).encode(errors="replace").decode() for name in headers
    }


_UNPROVEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


def _refused(carrier: str, refusal: contract.CallbackRefusal) -> problems.Refused:
    status = HTTPStatus(refusal.status)
    if status in _UNPROVEN:
        return _unproven(carrier)
    _log.warning("callback_refused", carrier=carrier, status=refusal.status)
    return problems.Refused(
        problems.of(status, status.name.lower(), refusal.detail),
        {"Allow": refusal.allow} if refusal.allow else None,
    )


def _unproven(carrier: str) -> problems.Refused:
    _log.warning("callback_not_believed", carrier=carrier)
    return _nobody_calls()


def _nobody_calls() -> problems.Refused:
    """The same for no such carrier, for one that does not call, and for a proof that is wrong."""
    return problems.Refused(problems.of(404, "not_found", "no carrier calls here"))


def _count(request: web.Request, response: web.StreamResponse, _seconds: float) -> None:
    if not request.path.startswith("/health/"):
        metrics.CALLBACKS.labels(str(response.status)).inc()
