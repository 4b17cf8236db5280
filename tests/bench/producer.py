"""The load generator, a process of its own: requests made in advance, then bytes in and out.

It reads an `Order` as one line of JSON, connects, prints `ready`, waits for a line, sends all of
it as fast as the answers allow, writes a `Tally` to the order's file, and prints `done`.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from tests.bench import workload

SEND_SECONDS = 110.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_QUEUED = b'"status":"queued"'


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: messages `first` and on, over connections spread over the ports."""

    ports: list[int]
    token: str
    first: int
    count: int
    batch_size: int
    """Messages a request; 0 sends single ones."""
    connections: int
    tally_path: str


class Tally(msgspec.Struct, frozen=True):
    """Unix times in seconds of each request in order, and the CPU that sending them took."""

    sent_at: list[float]
    answered_at: list[float]
    cpu_seconds: float


class Sending:
    """All requests of an order, and when each was sent and answered."""

    def __init__(self, order: Order) -> None:
        self.requests = workload.requests(order.first, order.count, order.batch_size, order.token)
        self.sent_at = [0.0] * len(self.requests)
        self.answered_at = [0.0] * len(self.requests)
        self.numbers: Iterator[int] = iter(range(len(self.requests)))
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._size = order.batch_size or 1
        self._last_size = order.count - self._size * (len(self.requests) - 1)
        self._open_count = len(self.requests)

    def settle(self, number: int, head: bytes, body: bytes) -> None:
        """Note an answer; anything but a 202 that takes every message ends the run."""
        self.answered_at[number] = time.time()
        size = self._last_size if number == len(self.requests) - 1 else self._size
        if not head.startswith(b"HTTP/1.1 202 ") or body.count(_QUEUED) != size:
            self.fail(f"request {number}: {head[:40]!r} {body[:300]!r}")
        self._open_count -= 1
        if not self._open_count and not self.done.done():
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        """End the run."""
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._number = -1
        self._buffer = b""
        self._wanted_size = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out; nothing is sent yet."""
        self.transport = cast("asyncio.Transport", transport)

    def send_next(self) -> None:
        """Send the next request nobody has sent."""
        number = next(self._sending.numbers, None)
        if number is None or self.transport is None:
            return
        self._number = number
        self._sending.sent_at[number] = time.time()
        self.transport.write(self._sending.requests[number])

    def data_received(self, data: bytes) -> None:
        """Put an answer together; when it is whole, note it and send on."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._wanted_size and not self._read_head():
            return
        if len(self._buffer) < self._wanted_size:
            return
        head, _, body = self._buffer.partition(_HEAD_END)
        self._buffer, self._wanted_size = b"", 0
        self._sending.settle(self._number, head, body)
        self.send_next()

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        head = self._buffer[:end].lower()
        length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0])
        self._wanted_size = end + len(_HEAD_END) + length
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that goes before the end is a failure; afterwards nobody minds."""
        self._sending.fail(f"a connection was lost: {exc}")


async def _send(order: Order) -> Tally:
    sending = Sending(order)
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for place in range(order.connections):
        port = order.ports[place % len(order.ports)]
        _, opened = await loop.create_connection(lambda: Connection(sending), "127.0.0.1", port)
        connections.append(opened)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu_before = _cpu_seconds()
    for connection in connections:
        connection.send_next()
    async with asyncio.timeout(SEND_SECONDS):
        await sending.done
    return Tally(sending.sent_at, sending.answered_at, _cpu_seconds() - cpu_before)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def read_tally(order: Order) -> Tally:
    """What the process that was given this order wrote down."""
    return msgspec.json.decode(Path(order.tally_path).read_bytes(), type=Tally)


def main() -> None:
    """Send what one line on standard input orders."""
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(_send(order))
    Path(order.tally_path).write_bytes(msgspec.json.encode(tally))
    print("done", flush=True)


if __name__ == "__main__":
    main()
