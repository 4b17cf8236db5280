"""What all carriers with a web API have in common: HTTP on a socket, and calls that prove
themselves. What each says is in the file of its adapter's name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import parse_qsl

import msgspec

from shared.carriers import contract, registry
from shared.sms import receipts
from tests.integration.carriers import segments, stand_ins
from tests.integration.carriers.stand_ins import Act, Said

NAME = "acme"
PUBLIC_URL = "https://sms.example"
CALLBACKS_URL = f"{PUBLIC_URL}/carriers/{NAME}"
DEADLINES: Mapping[str, object] = {"timeout_seconds": 1.0, "connect_seconds": 1.0, "window": 5}


class WebStandIn(stand_ins.Listener):
    """`says` has the vendor's words for each Act that is an answer, `not_let_in` those for wrong
    credentials, and `recorded` answers as its documentation shows them, and what they mean."""

    cannot: frozenset[Act] = frozenset()
    finds_its_pace = False
    unsaid: frozenset[receipts.ReceiptState] = frozenset()
    says: ClassVar[Mapping[Act, Said]]
    not_let_in: ClassVar[Said]
    recorded: Sequence[stand_ins.Recorded] = ()
    signs = False
    """Whether its proof is of what it says."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split()[0])
            self.taken.append(head + await reader.readexactly(size))
            if self.refuses_us:
                _answer(writer, self.not_let_in)
            else:
                await self._act(writer, self.next_act())
            await writer.drain()

    async def _act(self, writer: asyncio.StreamWriter, act: Act | Said) -> None:
        accepts = self.says[Act.ACCEPT]
        if isinstance(act, Said):
            _answer(writer, act)
        elif act in self.says:
            _answer(writer, self.says[act])
        elif act is Act.THROTTLE_FOR:
            asks = self.says[Act.THROTTLE]
            wish = {"Retry-After": str(stand_ins.WISH_MS // 1000)}
            _answer(writer, asks._replace(headers={**asks.headers, **wish}))
        elif act is Act.LEAVE:
            _answer(writer, accepts._replace(headers={"Connection": "close"}))
            await writer.drain()
            raise ConnectionAbortedError
        elif act is Act.CUT:
            raise ConnectionAbortedError
        elif act is Act.CUT_INSIDE:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + accepts.body[:9])
            await writer.drain()
            raise ConnectionAbortedError
        elif act is Act.GARBAGE:
            writer.write(b"\x00\xff\xfe garbage \r\n\r\n" * 3)
        elif act is Act.DRIP:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            await self.drip(writer, b" ")
        elif act is Act.FLOOD:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
            await self.flood(writer)

    def order(self, submit: bytes) -> stand_ins.Order:
        """What a submit of `taken` asks for."""
        raise NotImplementedError

    def call(self, report: stand_ins.Report) -> contract.CallbackRequest:
        """The call by which this is reported."""
        raise NotImplementedError

    def forged(self, right: contract.CallbackRequest) -> Sequence[contract.CallbackRequest]:
        wrong = {name: f"x{value}" for name, value in right.headers.items()}
        changed = right.body.replace(b"336", b"337")
        assert changed != right.body
        strangers = [
            replace(right, headers={}, path_secret=""),
            replace(right, headers=wrong, path_secret="x" * 20),
        ]
        return strangers + [replace(right, body=changed)] * self.signs

    def phone_sends(self, source: str, recipient: str, text: str) -> contract.CallbackRequest:
        """The call by which a phone's text is handed over."""
        raise NotImplementedError

    def proved(self, body: bytes) -> contract.CallbackRequest:
        """A call that proves its sender and says nothing but these octets."""
        raise NotImplementedError

    async def report(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        reports: Sequence[stand_ins.Report],
    ) -> list[bytes]:
        calls = [self.call(each) for each in reports]
        return await self._called(adapter, settings, sink, calls)

    async def report_garbage(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        raw: Sequence[bytes],
    ) -> list[bytes]:
        calls = [self.proved(each) for each in raw]
        return await self._called(adapter, settings, sink, calls)

    async def _called(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        calls: Sequence[contract.CallbackRequest],
    ) -> list[bytes]:
        assert adapter.admit_callback is not None
        for called in calls:
            admitted = adapter.admit_callback(settings, called)
            for each in admitted if isinstance(admitted, tuple) else ():
                await sink(each)
        return sink.seen


def body_of(submit: bytes) -> bytes:
    """What follows the head of a request."""
    return submit.partition(b"\r\n\r\n")[2]


def form_of(submit: bytes) -> dict[str, str]:
    """The fields of a request that is a form."""
    return dict(parse_qsl(body_of(submit).decode(), strict_parsing=True))


def json(status: int, value: object) -> Said:
    """An answer in JSON."""
    return Said(status, msgspec.json.encode(value))


def _answer(writer: asyncio.StreamWriter, said: Said) -> None:
    headers = {**said.headers, "Content-Length": str(len(said.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}\r\n{lines}\r\n"
    writer.write(start.encode() + said.body)
