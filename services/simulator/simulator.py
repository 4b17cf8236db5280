"""The simulated carrier as one thing to start and stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from services.simulator import carrier, http_face, options, payment_books, smpp_face
from shared.runtime import exits

_log = structlog.get_logger()


@dataclass(slots=True)
class Simulator:
    """A running carrier and the ports it listens on."""

    carrier: carrier.Carrier
    _smpp: smpp_face.SmppFace
    _http: http_face.HttpFace
    smpp_port: int = 0
    http_port: int = 0

    @property
    def payment_books(self) -> payment_books.PaymentBooks:
        """What its provider of card payments has held and charged."""
        return self._http.payment_books

    async def close(self) -> None:
        """Stop taking submits, cut all links, and finish the journal."""
        self.carrier.outbox.close()
        await self._smpp.close()
        await self._http.close()
        self.carrier.journal.close()


async def serve(wanted: options.Options) -> Simulator:
    """Start both faces. Raises NotDone when a port or the journal cannot be had."""
    try:
        shared = carrier.Carrier(wanted)
    except OSError as error:
        raise exits.NotDone(
            exits.BAD_INPUT, f"cannot write {wanted.journal_path}: {error.strerror}"
        ) from None
    smpp = smpp_face.SmppFace(shared)
    http = http_face.HttpFace(shared, smpp)
    started = Simulator(shared, smpp, http)
    try:
        started.smpp_port = await _listening(smpp.start(), wanted.host, wanted.smpp_port)
        started.http_port = await _listening(http.start(), wanted.host, wanted.http_port)
    except BaseException:
        await started.close()
        raise
    return started


async def _listening(starting: Awaitable[int], host: str, port: int) -> int:
    try:
        return await starting
    except OSError as error:
        raise exits.cannot_listen(host, port, error) from None


@asynccontextmanager
async def run(wanted: options.Options) -> AsyncIterator[None]:
    """Serve while the body runs."""
    running = await serve(wanted)
    _log.info("simulator_ready", smpp_port=running.smpp_port, http_port=running.http_port)
    try:
        yield
    finally:
        await running.close()
