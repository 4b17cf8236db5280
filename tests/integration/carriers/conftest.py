"""Nothing that a carrier's test does may leave this machine."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator

import pytest

_connected: list[object] = []


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        _connected.append(arguments[1])


sys.addaudithook(_listen)


def strangers(addresses: list[object]) -> list[object]:
    """Those of these socket addresses that are not of this machine."""
    return [each for each in addresses if isinstance(each, tuple) and not _is_here(str(each[0]))]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def connected() -> Iterator[list[object]]:
    """The addresses that sockets were connected to; all of them must be of this machine."""
    _connected.clear()
    yield _connected
    assert strangers(_connected) == []
