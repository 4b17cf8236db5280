"""What a stranger may hold open at a port, and for how long, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from shared.web import addresses, bodies, connections, server

BODY = b"0123456789"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHo"
SECONDS = 15.0
"""More than any of these takes, on any machine."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _hello(request: web.Request) -> web.Response:
    return web.Response(body=await bodies.read(request, 100, SECONDS))


class _Port:
    """A served application and the connections that a test has opened to it."""

    def __init__(self, number: int, opened: AsyncExitStack) -> None:
        self._number = number
        self._opened = opened

    async def open(self, address: str = "127.0.0.1", sent: bytes = b"") -> Stream:
        """A connection from this address, with something sent."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._number, local_addr=(address, 0)
        )
        self._opened.callback(writer.close)
        writer.write(sent)
        return reader, writer

    async def status(self, address: str = "127.0.0.1") -> int:
        """What a whole request from this address is answered."""
        reader, _ = await self.open(address, GET)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        return int(head.split()[1])


@asynccontextmanager
async def _port(caps: connections.Caps) -> AsyncIterator[_Port]:
    app = web.Application()
    app.router.add_route("*", "/", _hello)
    async with server.listening(app, "127.0.0.1", 0, caps) as number, AsyncExitStack() as opened:
        yield _Port(number, opened)


def _closed_count(reason: str) -> float:
    return float(connections.CLOSED.labels(reason)._value.get())


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes without a word."""
    try:
        return await asyncio.wait_for(reader.read(), SECONDS) == b""
    except ConnectionError:
        return True


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_others_are_answered_when_an_address_opens_hundreds_and_says_nothing_whole() -> None:
    # Given an address that opens 300 connections and sends half a head on each
    refused_before = _closed_count("address")
    async with _port(connections.Caps(per_address=50)) as port:
        for _ in range(300):
            await port.open("127.0.0.2", HALF)

        # When others ask, Then they are answered; the address has no more than its share
        assert await port.status() == 200
        await _until(lambda: _closed_count("address") == refused_before + 250)


async def test_who_waits_longest_for_a_head_makes_room_when_all_places_are_taken() -> None:
    # Given half-open connections of many addresses, on every place there is
    async with _port(connections.Caps(connections=40)) as port:
        first, _ = await port.open("127.0.1.1", HALF)
        for number in range(39):
            await port.open(f"127.0.1.{number + 2}", HALF)

        # When another asks, Then it is answered, and the first to come has made room
        assert await port.status() == 200
        assert await _is_closed(first)


async def test_a_new_connection_is_closed_at_once_when_all_places_are_at_work() -> None:
    # Given as many requests at work as there are places
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n012"
    refused_before = _closed_count("full")
    async with _port(connections.Caps(connections=2)) as port:
        working = [await port.open(sent=begun) for _ in range(2)]
        await asyncio.sleep(0.05)

        # When one more comes, Then it is closed, and the others are served to their end
        reader, _ = await port.open(sent=GET)
        assert await _is_closed(reader)
        assert _closed_count("full") == refused_before + 1
        for reader, writer in working:
            writer.write(BODY[3:])
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
            assert head.startswith(b"HTTP/1.1 200 ")

        # And its place is free once one of them has gone
        working[0][1].close()
        await _until(lambda: connections.OPEN._value.get() < 2)
        assert await port.status() == 200


@pytest.mark.parametrize("before", [b"", GET], ids=["first request", "second request"])
async def test_a_connection_is_closed_when_a_head_takes_too_long(before: bytes) -> None:
    async with _port(connections.Caps(head_seconds=0.3)) as port:
        # Given a connection, perhaps after a whole request, on which a head comes byte by byte
        reader, writer = await port.open(sent=before)
        if before:
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        began_at = asyncio.get_running_loop().time()
        dripping = asyncio.create_task(_drip(writer))

        # Then it is closed when its time is over, whatever comes
        assert await _is_closed(reader)
        assert asyncio.get_running_loop().time() - began_at >= 0.3
        dripping.cancel()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


async def test_a_body_may_take_longer_than_a_head() -> None:
    async with _port(connections.Caps(head_seconds=0.2)) as port:
        reader, writer = await port.open(
            sent=b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
        )
        for place in range(len(BODY)):
            writer.write(BODY[place : place + 1])
            await asyncio.sleep(0.1)

        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        assert head.startswith(b"HTTP/1.1 200 ")


async def test_a_quiet_connection_is_kept_for_a_while_and_then_closed() -> None:
    async with _port(connections.Caps(head_seconds=0.1, idle_seconds=1.0)) as port:
        reader, _writer = await port.open(sent=GET)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        answered_at = asyncio.get_running_loop().time()

        assert await _is_closed(reader)
        assert asyncio.get_running_loop().time() - answered_at >= 0.9


async def test_a_proxy_of_ours_may_have_more_connections_than_others() -> None:
    caps = connections.Caps(per_address=2, proxies=addresses.Proxies(("127.0.0.9/32",)))
    async with _port(caps) as port:
        assert [await port.status("127.0.0.9") for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET, b"200"),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
    ],
)
async def test_no_answer_tells_program_or_version(
    sent: bytes, status: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with _port(connections.Caps()) as port:
        reader, _writer = await port.open(sent=sent)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)

    assert head.split()[1] == status
    assert b"aiohttp" not in head
    assert b"Python" not in head
    # Nor is what a stranger sent repeated in the log.
    assert "not HTTP" not in capfd.readouterr().err
