"""What must never be reached: a listener on addresses of this machine, and URLs that lead to it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

HOSTS = ("127.0.0.1", "127.0.0.9", "::1")

_INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.254",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.0.0.9",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.254",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
]
_INSIDE_V6 = [
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "3fff::1",
    "5f00::1",
]
_NAMES = [
    "localhost",
    "localhost.",
    "LOCALHOST",
    "ip6-localhost",
    "ip6-loopback",
    "router",
    "intranet",
    "metadata",
    "kubernetes",
    "a..b",
    ".example",
    "-x.example",
    "under[score",
]


class Canary:
    """A port that only counts who comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.count = 0

    async def take(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody came."""
        self.count += 1
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Canary]:
    """A canary on one port of every host it can have."""
    async with AsyncExitStack() as stack:
        canary = Canary(0)
        for host in HOSTS:
            with suppress(OSError):
                server = await asyncio.start_server(canary.take, host, canary.port)
                await stack.enter_async_context(server)
                canary.port = server.sockets[0].getsockname()[1]
        yield canary


def urls(port: int) -> Iterator[str]:
    """Hostile URLs, by families."""
    for scheme in ("https", "http"):
        for host in (*_written_v4(), *map(_bracketed, _written_v6()), *_NAMES):
            yield f"{scheme}://{host}:{port}/hook"
    yield from _odd(port)


def _written_v4() -> Iterator[str]:
    """Each address as itself, and as some resolvers read it."""
    for text in _INSIDE:
        a, b, c, d = (int(part) for part in text.split("."))
        number = int(ipaddress.IPv4Address(text))
        yield text
        yield f"{text}."
        yield str(number)
        yield hex(number)
        yield oct(number).replace("o", "")
        yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
        yield f"{a:04o}.{b:04o}.{c:04o}.{d:04o}"
        yield f"{a}.{b}.{(c << 8) + d}"


def _written_v6() -> Iterator[str]:
    """Addresses of IPv6, and those of IPv4 in all its forms inside."""
    yield from _INSIDE_V6
    yield "fe80::1%25lo"
    for text in _INSIDE:
        number = int(ipaddress.IPv4Address(text))
        high, low = number >> 16, number & 0xFFFF
        yield f"::ffff:{text}"
        yield f"::{text}"
        yield f"::ffff:0:{text}"
        yield f"64:ff9b::{text}"
        yield f"64:ff9b:1::{text}"
        yield f"2002:{high:x}:{low:x}::1"
        yield f"2001:0:{high:x}:{low:x}::1"
        yield f"2001:0:4136:e378:8000:63bf:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
        yield f"2a00:1450::5efe:{text}"
        yield f"2a00:1450::200:5efe:{text}"


def _bracketed(text: str) -> str:
    return f"[{text}]"


def _odd(port: int) -> Iterator[str]:
    target = f"127.0.0.1:{port}"
    for scheme in [
        "ftp",
        "file",
        "gopher",
        "ws",
        "wss",
        "unix",
        "data",
        "javascript",
        "ldap",
        "dict",
    ]:
        yield f"{scheme}://{target}/"
    yield from (
        f"https://example.com@{target}/",
        f"https://example.com:pw@{target}/",
        f"https://{target}#@example.com/",
        f"https://{target}\\@example.com/",
        f"https://example.com\\@{target}/",
        f"https:\\\\{target}/",
        f"//{target}/",
        f"https:{target}/",
        f"https:///{target}/",
        f"{target}/",
        f" https://{target}/",
        f"https://{target}/\r\nHost: example.com",
        f"https://{target}/\0",
        f"https://127.0.0.1%00.example.com:{port}/",
        f"https://%31%32%37.0.0.1:{port}/",
        f"https://１２７.0.0.1:{port}/",
        f"https://127。0。0。1:{port}/",
        f"https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1:-1/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://[::1/",
        "https://",
        "https://" + "a" * 3_000 + ".example/",
    )
