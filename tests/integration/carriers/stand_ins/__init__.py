"""Carriers that do what a test tells them, one file an adapter, named by the adapter's key.

A stand-in is a module with `open_stand_in()`, an asynchronous context manager of a `StandIn`. It
listens on a real socket, and knows its carrier's protocol without the adapter's help.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from shared.carriers import contract, outcomes, registry
from shared.sms import receipts
from tests.integration.carriers import segments

SECRET = "canary-secret-of-a-carrier"
TEXT = "canary text"
RECIPIENT = "+33698765432"
ID = "id-17"
WISH_MS = 2000


class Act(StrEnum):
    """What a carrier may do with a submit that has reached it."""

    ACCEPT = "accept, with the id ID"
    REJECT = "reject for good"
    DEFER = "say that this phone cannot be reached for now"
    ELSEWHERE = "say that it does not serve this number"
    HALT = "say that our account there is not in order"
    THROTTLE = "ask for time"
    THROTTLE_FOR = "ask for WISH_MS"
    LEAVE = "take its leave, and answer all the same"
    SILENCE = "say nothing"
    CUT = "cut the connection"
    CUT_INSIDE = "cut the connection inside the answer"
    GARBAGE = "answer with bytes that nobody can read"
    DRIP = "answer an octet at a time, without an end"
    FLOOD = "answer as fast as it is read, without an end"


class Said(NamedTuple):
    """A web carrier's answer, word for word."""

    status: int
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})


class Recorded(NamedTuple):
    """An answer as a carrier's documentation shows it, and what it is to mean."""

    said: Said
    kind: outcomes.OutcomeKind
    code: str


class Order(NamedTuple):
    """A submit as the carrier reads it; addresses without a plus, the text without a header."""

    source: str
    recipient: str
    text: str


class Report(NamedTuple):
    """What a carrier reports of a segment, whose text it quotes; `reference` is what it was given
    for that, where it gives it back."""

    carrier_message_id: str
    state: receipts.ReceiptState
    text: str = TEXT
    reference: str = ""


class StandIn(Protocol):
    """A carrier under a test's command."""

    acts: deque[Act | Said]
    """What to do with the next submits; when it is empty each is accepted."""
    taken: list[bytes]
    """The submits that have reached it, as they were on the wire."""
    flooded: Counter[str]
    """How many octets were written to whom, by FLOOD."""
    cannot: frozenset[Act]
    """What this way of speaking has no words for."""
    finds_its_pace: bool
    """Whether the link goes slower, rather than hold back, when it is told to."""
    unsaid: frozenset[receipts.ReceiptState]
    """What its receipts have no words for."""
    recorded: Sequence[Recorded]
    """Answers as its documentation shows them."""
    refuses_us: bool
    """Whether our credentials are refused."""

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        """How the adapter reaches it, with SECRET for every credential: a window of 5, answers
        within a second; `port` instead of its own, `values` in the adapter's words."""

    async def report(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        reports: Sequence[Report],
    ) -> list[bytes]:
        """Report by the carrier's way, over the link that `sink` was given to or by a call, and
        return what was published."""

    def order(self, submit: bytes) -> Order:
        """What a submit of `taken` asks for."""

    def call(self, report: Report) -> contract.CallbackRequest | None:
        """The call by which this is reported; None where that is no way of speaking."""

    def forged(self, right: contract.CallbackRequest) -> Sequence[contract.CallbackRequest]:
        """This call by somebody else, in all ways a stranger might try."""

    def phone_sends(
        self, source: str, recipient: str, text: str
    ) -> contract.CallbackRequest | None:
        """The call by which a phone's text is handed over; None as with `call`."""

    async def report_garbage(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        raw: Sequence[bytes],
    ) -> list[bytes]:
        """The same for reports that are nothing but these octets."""


class Listener:
    """A socket that a stand-in listens on, and the connections that were made to it."""

    def __init__(self) -> None:
        self.acts: deque[Act | Said] = deque()
        self.taken: list[bytes] = []
        self.flooded: Counter[str] = Counter()
        self.refuses_us = False
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak with one peer until it goes."""
        raise NotImplementedError

    def next_act(self) -> Act | Said:
        return self.acts.popleft() if self.acts else Act.ACCEPT

    async def drip(self, writer: asyncio.StreamWriter, octet: bytes) -> None:
        while True:
            writer.write(octet)
            await writer.drain()
            await asyncio.sleep(0.02)

    async def flood(self, writer: asyncio.StreamWriter) -> None:
        piece = b"7" * 65_536
        while True:
            writer.write(piece)
            await writer.drain()
            self.flooded["octets"] += len(piece)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.serve(reader, writer)
        writer.close()
