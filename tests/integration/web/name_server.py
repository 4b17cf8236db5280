"""A name server that says whatever a test wants, and how to ask it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

ANSWER_SECONDS = 2.0

Says = Callable[[str], Sequence[str]]
"""The addresses of a name, each time it is asked for."""

_A, _AAAA = 1, 28


class _Server(asyncio.DatagramProtocol):
    def __init__(self, says: Says) -> None:
        self._says = says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        name, end = _name(data, 12)
        question = data[12 : end + 4]
        addresses = [ipaddress.ip_address(text) for text in self._says(name)]
        records = b"".join(
            # The name by a pointer to the question's, of the Internet, to be kept for 0 s.
            struct.pack("!HHHIH", 0xC00C, _A if one.version == 4 else _AAAA, 1, 0, len(one.packed))
            + one.packed
            for one in addresses
        )
        head = data[:2] + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
        self._transport.sendto(head + question + records, addr)


def _name(data: bytes, start: int) -> tuple[str, int]:
    labels: list[str] = []
    while length := data[start]:
        labels.append(data[start + 1 : start + 1 + length].decode())
        start += 1 + length
    return ".".join(labels), start + 1


@asynccontextmanager
async def serving(says: Says) -> AsyncIterator[int]:
    """The port of a name server on 127.0.0.1 while the body runs."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Server(says), local_addr=("127.0.0.1", 0)
    )
    try:
        yield int(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


async def ask(port: int, name: str) -> list[str]:
    """The addresses that the server says a name has, as a stub resolver reads them."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect(("127.0.0.1", port))
        question = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question + b"\0\0\xff\0\1"
        await loop.sock_sendall(asking, query)
        async with asyncio.timeout(ANSWER_SECONDS):
            data = await loop.sock_recv(asking, 4_096)
    (count,) = struct.unpack_from("!H", data, 6)
    _, place = _name(data, 12)
    place += 4
    found: list[str] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!H", data, place + 10)
        found.append(str(ipaddress.ip_address(data[place + 12 : place + 12 + length])))
        place += 12 + length
    return found
