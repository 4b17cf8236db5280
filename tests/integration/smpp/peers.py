"""A scripted SMSC and ESME that say exactly what a test tells them, and a recorder for handlers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from shared.smpp import codes, decoder, encoder, esme, life, pdu, session, smsc, terms, window

REQUEST = pdu.BindRequest("sluice", "secret")
MESSAGE = pdu.SubmitSm("SLUICE", "33612345678", b"hello", registered_delivery=1)
MESSAGE_BODY = encoder.encode(MESSAGE)[codes.HEADER_BYTES :]
TERMS = terms.Terms(10)
RECEIPT = pdu.DeliverSm("33612345678", "SLUICE", b"id:1 stat:DELIVRD", esm_class=4)
PATIENCE_SECONDS = 10


class Peer:
    """One end of a connection, driven by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> pdu.Pdu:
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readexactly(4)
            return decoder.decode(head + await self._reader.readexactly(int.from_bytes(head) - 4))

    async def receive_submits(self, count: int) -> list[pdu.SubmitSm]:
        received = [await self.receive() for _ in range(count)]
        submits = [each for each in received if isinstance(each, pdu.SubmitSm)]
        assert len(submits) == count
        return submits

    def send(self, message: pdu.Pdu, sequence: int | None = None) -> None:
        self.send_bytes(encoder.encode(message, sequence))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def assert_nothing_before_echo(self) -> None:
        """The session wrote nothing more: the answer to an enquire_link is the next thing read."""
        self.send(pdu.EnquireLink(77_777))
        assert await self.receive() == pdu.EnquireLinkResp(0, 77_777)

    async def assert_hung_up(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionError):
                while await self._reader.read(65_536):
                    pass

    def cut(self) -> None:
        self._writer.transport.abort()


class ScriptedSmsc:
    """Listens; every connection becomes a Peer for the test to drive."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def accept(self) -> Peer:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._peers.get()

    async def accept_bind(self, status: int = 0) -> Peer:
        peer = await self.accept()
        bind = await peer.receive()
        assert isinstance(bind, pdu.BindRequest)
        peer.send(pdu.BindResp(bind.mode, status, "scripted"), bind.sequence)
        return peer

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[ScriptedSmsc]:
        server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._peers.put_nowait(Peer(reader, writer))


Told = asyncio.Queue[window.Answer]


def ask(asked: session.Session, leave_by: float = math.inf) -> Told:
    """Ask for MESSAGE to be taken; what is told of it."""
    told: Told = asyncio.Queue()
    asked.ask(codes.COMMAND_SUBMIT_SM, MESSAGE_BODY, told.put_nowait, leave_by)
    return told


async def heard(told: Told) -> window.Answer:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await told.get()


class Recorder:
    """Handlers that only remember what a session told them."""

    def __init__(self) -> None:
        self.on_request: Callable[[session.Session, pdu.Request], None] = self.keep
        self.requests: asyncio.Queue[pdu.Request] = asyncio.Queue()
        self.bound: asyncio.Queue[session.Session] = asyncio.Queue()
        self.closed: asyncio.Queue[session.Session] = asyncio.Queue()

    def keep(self, _: session.Session, request: pdu.Request) -> None:
        self.requests.put_nowait(request)

    async def request(self) -> pdu.Request:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.requests.get()

    async def loss(self) -> life.Loss | None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.closed.get()).loss

    async def open_esme(
        self,
        port: int,
        agreed: terms.Terms = TERMS,
    ) -> session.Session:
        return await esme.open_esme(
            esme.Destination("127.0.0.1", port, REQUEST),
            agreed,
            session.Handlers(
                lambda peer, request: self.on_request(peer, request),
                self.closed.put_nowait,
            ),
        )

    async def serve(self, *, status: int = 0, timers: life.Timers | None = None) -> smsc.Server:
        return await smsc.serve(
            "127.0.0.1",
            0,
            terms.Terms(10, timers or life.Timers(), system_id="SMSC"),
            session.Handlers(
                self.on_request,
                self.closed.put_nowait,
                authenticate=lambda _: status,
                on_bound=self.bound.put_nowait,
            ),
        )


async def connect(port: int) -> Peer:
    """An ESME driven by hand."""
    return Peer(*await asyncio.open_connection("127.0.0.1", port))


@asynccontextmanager
async def bound_esme(
    *,
    window: int = 10,
    timers: life.Timers | None = None,
    open_requests_max: int = terms.OPEN_REQUEST_COUNT_MAX,
) -> AsyncIterator[tuple[session.Session, Peer, Recorder]]:
    """Our ESME's session, bound to a scripted SMSC."""
    recorder = Recorder()
    async with ScriptedSmsc().listening() as scripted:
        agreed = terms.Terms(window, timers or life.Timers(), open_requests_max)
        opening = asyncio.ensure_future(recorder.open_esme(scripted.port, agreed))
        peer = await scripted.accept_bind()
        ours = await opening
        try:
            yield ours, peer, recorder
        finally:
            ours.abort()
            await ours.wait_closed()
