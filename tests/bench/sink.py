"""Where a rival calls with receipts: `GET /<1: delivered>/<recipient's digits>`, each counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

from tests.bench import contender

_DELIVERED = b"/1/"
_HEAD_END = b"\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """Counts calls by target, `/1/33612010000`, until the next `clear`."""

    def __init__(self) -> None:
        self.calls: Counter[bytes] = Counter()
        self.count = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Caller(self), "127.0.0.1", 0, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    def add(self, target: bytes) -> None:
        """Note a call."""
        self.calls[target] += 1
        self.count += 1

    def prove(self, count: int) -> None:
        """Exactly so many messages were called about, once each, as delivered. Raises NotProved."""
        delivered = sum(target.startswith(_DELIVERED) for target in self.calls)
        if not delivered == len(self.calls) == self.count == count:
            raise contender.NotProved(
                f"{count:,} messages sent, {self.count:,} receipts called back, "
                f"{delivered:,} of different messages that are delivered"
            )

    def clear(self) -> None:
        """What was before does not count."""
        self.calls.clear()
        self.count = 0

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


class _Caller(asyncio.Protocol):
    """One connection; GET requests, one after the other or together."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._buffer = (self._buffer + data).split(_HEAD_END)
        for head in heads:
            self._sink.add(head.split(b" ", 2)[1])
        if heads and self._transport is not None:
            self._transport.write(_ANSWER * len(heads))
