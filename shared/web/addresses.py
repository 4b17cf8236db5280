"""Where a request comes from: through which proxies, and which addresses count as one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from aiohttp import web

HOST_BITS_V6 = 64
"""What one subscriber has of IPv6: so many addresses are one caller."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _parse(text: str) -> _Address | None:
    """An address, without its zone; an IPv4 one also where it is written as IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def caller(address: str) -> str:
    """What is counted: the address, or the network of 64 bits that an IPv6 one is in."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed), 128 - HOST_BITS_V6), strict=False))
    return address if parsed is None else str(parsed)


class Proxies:
    """The networks whose word on where a request comes from is taken."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Raises ValueError for what is no network."""
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)

    def trust(self, address: str) -> bool:
        """Whether this is a proxy of ours."""
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, request: web.Request) -> str:
        """The client's address: the rightmost of X-Forwarded-For that is no proxy of ours. The
        peer's where the peer is a stranger, who could write anything, or the header is garbage."""
        peer = request.remote or ""
        if not self._networks or not self.trust(peer):
            return peer
        client = peer
        hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for hop in reversed(hops):
            address = _parse(hop.strip())
            if address is None:
                return peer
            client = str(address)
            if not self.trust(client):
                break
        return client
