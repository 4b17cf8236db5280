"""The load generator, a process of its own: requests made in advance, then bytes in and out.

It reads an `Order` as one line of JSON, connects, prints `ready`, waits for a line, sends all of
it, as fast as the answers allow or by the clock, writes a `Tally` to the order's file, and prints
`done`.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from tests.bench import orders

_SEND_SECONDS = 60.0
_SLOWEST_PER_SECOND = 250.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_TICK_SECONDS = 0.001
"""The finest wait of an event loop; what falls due meanwhile is sent together."""


class Tally(msgspec.Struct, frozen=True):
    """Unix times in seconds of each request in order, and the CPU that sending them took.

    Where requests arrive by the clock, `sent_at` is when each was due: one that had to wait for a
    connection has waited for its answer too.
    """

    sent_at: list[float]
    answered_at: list[float]
    cpu_seconds: float


class Sending:
    """All requests of an order, and when each was sent and answered."""

    def __init__(self, order: orders.Order) -> None:
        self.requests = orders.requests(order)
        self.sent_at = [0.0] * len(self.requests)
        self.answered_at = [0.0] * len(self.requests)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due: deque[int] = deque()
        self._free: list[Connection] = []
        self._mark = orders.MARKS[order.face]
        self._size = order.batch_size or 1
        self._last_size = order.count - self._size * (len(self.requests) - 1)
        self._open_count = len(self.requests)

    def send_all(self) -> None:
        """Let each connection send the next as soon as it has its answer."""
        self._due.extend(range(len(self.requests)))
        free, self._free = self._free, []
        for connection in free:
            self.give_work(connection)

    async def send_by_the_clock(self, per_second: float) -> None:
        """Let requests arrive at random, so many a second, whatever has been answered."""
        started_at = time.time()
        moments = orders.arrivals(per_second)
        for number in range(len(self.requests)):
            due_at = self.sent_at[number] = started_at + next(moments)
            wait_seconds = due_at - time.time()
            if wait_seconds > 0:
                await asyncio.sleep(max(wait_seconds, _TICK_SECONDS))
            self._due.append(number)
            if self._free:
                self.give_work(self._free.pop())

    def give_work(self, connection: Connection) -> None:
        """Have a connection send the next request that is due, or wait for one."""
        if self._due:
            number = self._due.popleft()
            self.sent_at[number] = self.sent_at[number] or time.time()
            connection.send(number, self.requests[number])
        else:
            self._free.append(connection)

    def settle(self, number: int, head: bytes, body: bytes) -> None:
        """Note an answer; anything but a 202 that takes every message ends the run."""
        self.answered_at[number] = time.time()
        size = self._last_size if number == len(self.requests) - 1 else self._size
        if not head.startswith(b"HTTP/1.1 202 ") or body.count(self._mark) != size:
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
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out, and wait for something to send."""
        self._transport = cast("asyncio.Transport", transport)
        self._sending.give_work(self)

    def send(self, number: int, request: bytes) -> None:
        """Send a request; its answer is `number`'s."""
        self._number = number
        if self._transport is not None:
            self._transport.write(request)

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
        self._sending.give_work(self)

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


async def _send(order: orders.Order) -> Tally:
    sending = Sending(order)
    loop = asyncio.get_running_loop()
    for place in range(order.connections):
        port = order.ports[place % len(order.ports)]
        await loop.create_connection(lambda: Connection(sending), "127.0.0.1", port)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu_before = _cpu_seconds()
    async with asyncio.timeout(seconds_to_send(order.count)):
        if order.per_second:
            await sending.send_by_the_clock(order.per_second)
        else:
            sending.send_all()
        await sending.done
    return Tally(sending.sent_at, sending.answered_at, _cpu_seconds() - cpu_before)


def seconds_to_send(count: int) -> float:
    """For how long the answers to so many messages are waited for."""
    return _SEND_SECONDS + count / _SLOWEST_PER_SECOND


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def read_tally(order: orders.Order) -> Tally:
    """What the process that was given this order wrote down."""
    return msgspec.json.decode(Path(order.tally_path).read_bytes(), type=Tally)


def main() -> None:
    """Send what one line on standard input orders."""
    order = msgspec.json.decode(sys.stdin.readline(), type=orders.Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(_send(order))
    Path(order.tally_path).write_bytes(msgspec.json.encode(tally))
    print("done", flush=True)


if __name__ == "__main__":
    main()
