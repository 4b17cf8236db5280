"""A whole dispatcher: what it tells its operators, and that it hears of changes."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from services.dispatcher import app, park
from shared.limits.limiter import Wait
from tests.integration.dispatcher.conftest import Town
from tests.keys import SECRET_KEY
from tests.ports import free_port
from tests.servers import as_services

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Service:
    """A running dispatcher, whose only carrier lacks its settings."""

    town: Town
    carrier: str
    url: str

    async def ready(self) -> tuple[int, str]:
        """The status and the detail of its readiness."""
        async with aiohttp.ClientSession() as client, client.get(self.url) as answer:
            return answer.status, (await answer.json()).get("detail", "")

    async def change(self, statement: str) -> None:
        """Change the configuration as `sluice apply` does."""
        async with self.town.pool.acquire() as opened, opened.transaction():
            await opened.execute(statement)
            await opened.execute("UPDATE configuration_version SET version = version + 1")


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await reached():
            await asyncio.sleep(0.05)


@pytest.fixture
async def service(
    town: Town, database_url: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Service]:
    # The broker is shared, and a queue has the name of its carrier.
    carrier = uuid.uuid4().hex
    await town.pool.execute("UPDATE carriers SET name = $1", carrier)
    chosen = app.Settings(
        database_url=as_services(database_url),
        secret_key=SECRET_KEY,
        amqp_url=amqp_url,
        redis_url=redis_url,
        metrics_port=free_port(),
    )
    url = f"http://127.0.0.1:{chosen.metrics_port}/health/ready"
    async with app.serve(chosen, asyncio.Event()):
        yield Service(town, carrier, url)


async def test_a_dispatcher_is_not_ready_and_says_which_carrier_it_cannot_open(
    service: Service,
) -> None:
    # given a carrier whose settings nobody can use, then readiness names it
    refused = (503, f"carriers cannot be opened: {service.carrier}")

    async def is_refused() -> bool:
        return await service.ready() == refused

    await until(is_refused)
    # when its settings are mended, then it is opened without a restart
    await service.change(
        """UPDATE carriers SET settings =
        '{"host": "127.0.0.1", "port": 9, "system_id": "us", "password": "pw"}'"""
    )

    async def is_opened() -> bool:
        return await service.ready() == (503, f"links are down: {service.carrier}")

    await until(is_opened)


async def test_a_change_wakes_the_lines_of_a_running_dispatcher(service: Service) -> None:
    # given a line that sleeps for an hour
    town = service.town
    (item,) = await town.accept(1, line=town.small)
    await park.park(town.pool, [(item, Wait(int(time.time() * 1000) + HOUR_MS))])
    await asyncio.sleep(1.0)
    assert await town.waiting() == {item.message_id: "parked"}
    # when its limit is raised, then it has its turn
    await service.change("UPDATE lines SET hour_limit = hour_limit + 1")

    async def is_released() -> bool:
        return await town.waiting() == {item.message_id: "ready"}

    await until(is_released)
