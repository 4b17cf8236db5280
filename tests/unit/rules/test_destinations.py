"""Which URLs of customers may be followed: schemes, hosts, ports, addresses."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rules import destinations
from shared.rules.destinations import HostPort

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.3.1",
    "223.255.255.255",
]
PUBLIC_V6 = [
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("text", [*PUBLIC, *PUBLIC_V6])
def test_the_public_internet_is_public(text: str) -> None:
    assert destinations.is_public(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_nothing_that_python_calls_private_is_public(address: ipaddress.IPv4Address) -> None:
    # Given Python's own lists, which know less than ours
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not destinations.is_public(address)


@given(st.ip_addresses(v=6))
def test_nothing_of_ipv6_is_public_that_python_calls_private(
    address: ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast or address.is_site_local:
        assert not destinations.is_public(address)


@given(st.ip_addresses(v=4))
def test_no_form_of_an_inside_address_is_public(inside: ipaddress.IPv4Address) -> None:
    # Given an address of IPv4 that is not public
    if destinations.is_public(inside):
        return
    number = int(inside)

    # Then none of the addresses of IPv6 that lead to it is
    for form in (
        f"::ffff:{inside}",
        f"::{inside}",
        f"::ffff:0:{inside}",
        f"64:ff9b::{inside}",
        f"64:ff9b:1::{inside}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001:0:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2606:4700::5efe:{inside}",
    ):
        assert not destinations.is_public(ipaddress.ip_address(form)), form


@pytest.mark.parametrize(
    ("scheme", "place"),
    [
        ("https", HostPort("hooks.example.com", 443)),
        ("https", HostPort("hooks.example.com.", 8443)),
        ("https", HostPort("xn--bcher-kva.example", 443)),
        ("https", HostPort("8.8.8.8", 443)),
        ("https", HostPort("2606:4700:4700::1111", 4443)),
    ],
)
def test_public_places_may_be_asked(scheme: str, place: HostPort) -> None:
    assert destinations.refusal(scheme, place) is None


@pytest.mark.parametrize(
    ("scheme", "place"),
    [
        ("http", HostPort("hooks.example.com", 80)),
        ("http", HostPort("hooks.example.com", 443)),
        ("ftp", HostPort("hooks.example.com", 443)),
        ("https", HostPort("hooks.example.com", 22)),
        ("https", HostPort("localhost", 443)),
        ("https", HostPort("127.1", 443)),
        ("https", HostPort("2130706433", 443)),
        ("https", HostPort("1.2.3.0x7f", 443)),
        ("https", HostPort("a b.example", 443)),
        ("https", HostPort("", 443)),
    ],
)
def test_other_places_may_not(scheme: str, place: HostPort) -> None:
    assert destinations.refusal(scheme, place) is not None


def test_what_an_operator_allows_needs_no_tls_and_no_usual_port() -> None:
    allowed = {destinations.read_host_port("127.0.0.1:19000")}
    assert destinations.refusal("http", HostPort("127.0.0.1", 19000), allowed) is None
    assert destinations.refusal("http", HostPort("127.0.0.1", 19001), allowed) is not None
    assert destinations.refusal("file", HostPort("127.0.0.1", 19000), allowed) is not None


@pytest.mark.parametrize("text", ["127.0.0.1:19000", "hooks.internal:80", "[::1]:9"])
def test_a_place_is_shown_as_it_is_written(text: str) -> None:
    assert str(destinations.read_host_port(text)) == text


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", ":80", "host:", "host:0", "host:65536", "::1:80", "a b:80", "h:８０"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a host and a port"):
        destinations.read_host_port(text)
