"""A carrier with a web API, for the `http` adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from shared.carriers import contract, registry
from shared.sms import receipts
from tests.integration.carriers import segments, stand_ins
from tests.integration.carriers.stand_ins import Act

_OK = b'{"messages": [{"id": "%b"}]}' % stand_ins.ID.encode()
_STATES = {f"carrier-{state}": state.value for state in receipts.ReceiptState}


class HttpStandIn(stand_ins.Listener):
    cannot: frozenset[Act] = frozenset()

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            "url": f"http://127.0.0.1:{port or self.port}/{{secret.path}}",
            "headers": {"Authorization": "Bearer {secret.key}"},
            "secrets": {"key": stand_ins.SECRET, "path": stand_ins.SECRET},
            "body": {"to": "{recipient}", "text": "{text}", "name": "{reference}"},
            "id_path": "messages.0.id",
            "error_path": "error",
            "rejected_codes": ["bad_number"],
            "timeout_seconds": 0.5,
            "connect_seconds": 0.5,
            "window": 5,
            "callback": {
                "auth": "path_secret",
                "secret": stand_ins.SECRET,
                "id_field": "id",
                "state_field": "status",
                "states": _STATES,
            },
            **values,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split()[0])
            self.taken.append(head + await reader.readexactly(size))
            if self.refuses_us:
                _answer(writer, b"401 Unauthorized", b"{}")
            else:
                await self._act(writer, self.next_act())
            await writer.drain()

    async def _act(self, writer: asyncio.StreamWriter, act: Act) -> None:
        if act is Act.ACCEPT:
            _answer(writer, b"200 OK", _OK)
        elif act is Act.REJECT:
            _answer(writer, b"400 Bad Request", b'{"error": "bad_number"}')
        elif act is Act.THROTTLE:
            _answer(writer, b"429 Too Many Requests", b"{}")
        elif act is Act.THROTTLE_FOR:
            wish = b"\r\nRetry-After: %d" % (stand_ins.WISH_MS // 1000)
            _answer(writer, b"429 Too Many Requests" + wish, b"{}")
        elif act is Act.LEAVE:
            _answer(writer, b"200 OK\r\nConnection: close", _OK)
            await writer.drain()
            raise ConnectionAbortedError
        elif act is Act.CUT:
            raise ConnectionAbortedError
        elif act is Act.CUT_INSIDE:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + _OK[:9])
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

    async def report(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        reports: Sequence[stand_ins.Report],
    ) -> list[bytes]:
        calls = [
            {"id": name, "status": f"carrier-{state}", "text": text}
            for name, state, text in reports
        ]
        raw = [msgspec.json.encode(each) for each in calls]
        return await self.report_garbage(adapter, settings, sink, raw)

    async def report_garbage(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        raw: Sequence[bytes],
    ) -> list[bytes]:
        assert adapter.admit_callback is not None
        for body in raw:
            called = contract.CallbackRequest(stand_ins.SECRET, {}, {}, "application/json", body)
            admitted = adapter.admit_callback(settings, called)
            for each in admitted if isinstance(admitted, tuple) else ():
                await sink(each)
        return sink.seen


def _answer(writer: asyncio.StreamWriter, status: bytes, body: bytes) -> None:
    writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = HttpStandIn()
    async with standing.listening():
        yield standing
