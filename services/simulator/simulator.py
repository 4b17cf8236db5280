"""The simulated carrier as one thing to start and stop."""

from __future__ import annotations

import asyncio
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
    _outages: asyncio.Task[None] | None = None

    @property
    def payment_books(self) -> payment_books.PaymentBooks:
        """What its provider of card payments has held and charged."""
        return self._http.payment_books

    async def close(self) -> None:
        """Stop taking submits, cut all links, and finish the journal."""
        if self._outages is not None:
            self._outages.cancel()
            await asyncio.wait({self._outages})
        self.carrier.outbox.close()
        await self._smpp.close()
        await self._http.close()
        self.carrier.journal.close()

    def start_outages(self, up_seconds: float, down_seconds: float) -> None:
        """From now on be up and down in turn."""
        self._outages = asyncio.create_task(self._go_down_and_up(up_seconds, down_seconds))

    async def _go_down_and_up(self, up_seconds: float, down_seconds: float) -> None:
        while True:
            await asyncio.sleep(up_seconds)
            self.carrier.is_down = True
            await self._smpp.close()
            await asyncio.sleep(down_seconds)
            await self._smpp.start(self.smpp_port)
            self.carrier.is_down = False


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
        started.smpp_port = await _listening(
            smpp.start(wanted.smpp_port), wanted.host, wanted.smpp_port
        )
        started.http_port = await _listening(http.start(), wanted.host, wanted.http_port)
    except BaseException:
        await started.close()
        raise
    if wanted.outage_every_seconds:
        started.start_outages(wanted.outage_every_seconds, wanted.outage_seconds)
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
