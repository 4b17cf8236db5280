"""Which address a request counts for, whatever its sender writes."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from shared.web import addresses, server

OURS = addresses.Proxies(("10.0.0.0/8", "fd00::/8"))


def _request(peer: str, *forwarded: str) -> web.Request:
    class Transport:
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (peer, 4711) if name == "peername" else default

    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    return make_mocked_request("GET", "/", headers, transport=Transport())


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.2.2.2"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7", "10.2.2.2"], "203.0.113.7"),
        ("10.0.0.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_the_client_is_the_rightmost_stranger_when_a_proxy_of_ours_says_so(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert OURS.client_of(_request(peer, *forwarded)) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # A stranger's word is not read, and what a client wrote in front of the proxy's neither.
        ("198.51.100.9", ["203.0.113.7"], "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["10.9.9.9, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["garbage, 203.0.113.7"], "203.0.113.7"),
        # What the proxy itself wrote cannot be read.
        ("10.0.0.1", ["203.0.113.7, garbage"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7,"], "10.0.0.1"),
        ("10.0.0.1", [","], "10.0.0.1"),
    ],
)
def test_nobody_speaks_for_another_address(peer: str, forwarded: list[str], client: str) -> None:
    assert OURS.client_of(_request(peer, *forwarded)) == client


def test_nobody_is_believed_when_there_are_no_proxies() -> None:
    request = _request("127.0.0.1", "203.0.113.7")
    assert addresses.Proxies(()).client_of(request) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_subscriber_are_one_caller(address: str, caller: str) -> None:
    assert addresses.caller(address) == caller


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^SLUICE_TRUSTED_PROXIES: expected networks"):
        server.Settings(
            database_url="postgresql://x", amqp_url="amqp://x", trusted_proxies=("10.0.0.1/8",)
        )
