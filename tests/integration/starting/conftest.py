"""Servers for services that start: a migrated database, a broker, a Redis, each behind a gate."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from tests.integration.dlr import world
from tests.integration.starting import roles
from tests.servers import as_services


@dataclass(frozen=True, slots=True)
class Site:
    """What a service needs, by its variables, and the gates before its servers."""

    environment: dict[str, str]
    postgres: world.Gate
    rabbit: world.Gate
    redis: world.Gate

    @property
    def open_count(self) -> int:
        """Connections to any of them."""
        return sum(gate.open_count for gate in (self.postgres, self.rabbit, self.redis))


@pytest.fixture
async def site(database_url: str, amqp_url: str, redis_url: str) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        services_url = as_services(database_url)
        postgres, postgres_url = await stack.enter_async_context(world.gate(services_url))
        rabbit, rabbit_url = await stack.enter_async_context(world.gate(amqp_url))
        redis, gated_redis_url = await stack.enter_async_context(world.gate(redis_url))
        environment = {
            "SLUICE_DATABASE_URL": postgres_url,
            "SLUICE_AMQP_URL": rabbit_url,
            "SLUICE_REDIS_URL": gated_redis_url,
            "SLUICE_SECRET_KEY": roles.SECRET * 4,
        }
        yield Site(environment, postgres, rabbit, redis)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A PostgreSQL that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        yield f"postgresql://sluice:{roles.SECRET}@127.0.0.1:{port}/sluice"
