"""The bounds of a port, as an operator sets them and as the process can bear them."""

from __future__ import annotations

import resource

import pytest

from shared.web import server


def chosen(**values: object) -> server.Settings:
    return server.Settings(database_url="postgresql://x", amqp_url="amqp://x", **values)  # type: ignore[arg-type] # of each its field


def test_the_bounds_are_those_that_were_set() -> None:
    caps = server.caps_of(
        chosen(
            connections_max=90,
            address_connections_max=30,
            head_seconds=4.0,
            idle_seconds=50.0,
            trusted_proxies=("10.0.0.0/8",),
        )
    )
    assert (caps.connections, caps.per_address) == (90, 30)
    assert (caps.head_seconds, caps.idle_seconds) == (4.0, 50.0)
    assert caps.proxies.trust("10.1.2.3")
    assert not caps.proxies.trust("11.1.2.3")


def test_no_more_connections_are_kept_than_the_process_may_have_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4_096))
    assert server.caps_of(chosen(connections_max=2_000)).connections == 156
    assert server.caps_of(chosen(connections_max=50)).connections == 50
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert server.caps_of(chosen()).connections == 1
