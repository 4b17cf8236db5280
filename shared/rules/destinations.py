"""Where a URL that a customer sets may lead: to the public internet, by https, or to a place that
an operator has named."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Set
from typing import NamedTuple

PORTS = frozenset({443, 4443, 8443})
"""Where https is served. A place that an operator names may have any port."""
URL_LENGTH_MAX = 2_048
HOST_LENGTH_MAX = 253

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC_V4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = [
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID, benchmarks: nobody's own
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any address of IPv4 may be inside
        "3fff::/20",
    )
]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = {0x00005EFE, 0x02005EFE}

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


class HostPort(NamedTuple):
    """A host, in small letters and without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_host_port(text: str) -> HostPort:
    """A place as an operator writes it: "hooks.internal:8080", "127.0.0.1:19000", "[::1]:19000".
    Raises ValueError with a sentence."""
    host, colon, port = text.strip().rpartition(":")
    host = host.lower()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _address(host) is not None
    else:
        known = _NAME.fullmatch(host) is not None and ":" not in host
    if not (colon and known and port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError("expected a host and a port, such as 127.0.0.1:19000")
    return HostPort(host, int(port))


def refusal(
    scheme: str,
    place: HostPort,
    allowed: Set[HostPort] = frozenset(),
    ports: Set[int] = PORTS,
) -> str | None:
    """Why a URL of this scheme and place is not followed, or None. What a name resolves to is
    judged when it is dialled (`is_public`)."""
    if scheme not in ("http", "https"):
        return "the scheme is not https"
    if place in allowed:
        return None
    if scheme != "https":
        return "the scheme is not https"
    if place.port not in ports:
        return f"the port is none of {', '.join(map(str, sorted(ports)))}"
    return _refusal_of_host(place.host)


def _refusal_of_host(host: str) -> str | None:
    address = _address(host)
    if address is not None:
        return None if is_public(address) else "the address is not a public one"
    labels = host.removesuffix(".").split(".")
    if len(host) > HOST_LENGTH_MAX or not _NAME.fullmatch(".".join(labels)):
        return "the host is not a name"
    if _NUMBER.fullmatch(labels[-1]):
        # Some resolvers read 2130706433 and 0x7f.1 as addresses.
        return "the host is neither a name nor a plain address"
    return "the host is not a full name" if len(labels) < 2 else None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether anybody may reach this address, and it is nobody's but its own: no private, shared,
    link-local, loopback, multicast, reserved or documentation network, and no form of IPv6 that
    leads to an address of IPv4, but for NAT64's, which is judged by that."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in _UNICAST_V6 or any(address in network for network in _NOT_PUBLIC_V6):
        return False
    return int(address) >> 32 & 0xFFFFFFFF not in _ISATAP
