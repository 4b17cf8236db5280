"""The simulated carrier as one thing to start and stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from services.simulator import carrier, http_face, options, smpp_face

_log = structlog.get_logger()


@dataclass(slots=True)
class Simulator:
    """A running carrier and the ports it listens on."""

    carrier: carrier.Carrier
    _smpp: smpp_face.SmppFace
    _http: http_face.HttpFace
    smpp_port: int = 0
    http_port: int = 0

    async def close(self) -> None:
        """Stop taking submits, cut all links, and finish the journal."""
        self.carrier.outbox.close()
        await self._smpp.close()
        await self._http.close()
        self.carrier.journal.close()


async def serve(wanted: options.Options) -> Simulator:
    """Start both faces. Raises OSError when a port or the journal cannot be had."""
    shared = carrier.Carrier(wanted)
    smpp = smpp_face.SmppFace(shared)
    http = http_face.HttpFace(shared, lambda: smpp.bind_count)
    started = Simulator(shared, smpp, http)
    try:
        started.smpp_port = await smpp.start()
        started.http_port = await http.start()
    except OSError:
        await started.close()
        raise
    return started


async def run(wanted: options.Options, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    running = await serve(wanted)
    _log.info("simulator_ready", smpp_port=running.smpp_port, http_port=running.http_port)
    try:
        await stop.wait()
    finally:
        await running.close()
