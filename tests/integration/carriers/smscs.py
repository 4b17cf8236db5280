"""An SMSC that takes everything and remembers it, and a link of the `smpp` adapter to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.carriers import contract, outcomes, registry
from shared.smpp import codes, pdu, session, smsc, terms
from tests.integration.carriers import segments

Mode = pdu.BindMode


class WelcomingSmsc:
    """Who has asked to bind, who was let in, and what was submitted over which session."""

    def __init__(self, status: int = codes.ESME_ROK) -> None:
        self.asked: list[pdu.BindRequest] = []
        self.peers: list[session.Session] = []
        self.submits: list[pdu.SubmitSm] = []
        self.ways: list[session.Session] = []
        self.port = 0
        self._status = status

    def take(self, peer: session.Session, request: pdu.Request) -> None:
        assert isinstance(request, pdu.SubmitSm)
        self.submits.append(request)
        self.ways.append(peer)
        peer.answer(request, 0, f"id-{len(self.submits)}")

    def admit(self, asked: pdu.BindRequest) -> int:
        self.asked.append(asked)
        return self._status

    def of(self, mode: Mode) -> list[session.Session]:
        return [each for each in self.peers if each.bound is not None and each.bound.mode is mode]


@asynccontextmanager
async def listening(
    status: int = codes.ESME_ROK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[WelcomingSmsc]:
    """An SMSC that answers each bind with this status."""
    opened = WelcomingSmsc(status)
    handlers = session.Handlers(
        opened.take, authenticate=opened.admit, on_bound=opened.peers.append
    )
    server = await smsc.serve("127.0.0.1", 0, terms.Terms(100), handlers, tls)
    opened.port = server.port
    try:
        yield opened
    finally:
        await server.close()


@asynccontextmanager
async def link_to(
    port: int,
    sink: segments.Sink | None = None,
    inbox: segments.Inbox | None = None,
    **values: object,
) -> AsyncIterator[contract.Link]:
    """A link with these settings, which may not be bound yet."""
    described = {"host": "127.0.0.1", "port": port, "system_id": "sluice", "password": "secret"}
    link = registry.adapter("smpp").open_link(
        "acme",
        registry.settings("smpp", described | values),
        sink or segments.Sink(),
        inbox or segments.Inbox(),
    )
    try:
        yield link
    finally:
        await link.close(1)


async def sent(link: contract.Link, segment: contract.Segment) -> outcomes.Outcome:
    """What a segment comes to, once there is room for it."""
    await asyncio.wait_for(link.wait_for_room(), 10)
    return await asyncio.wait_for(segments.submit(link, segment), 10)
