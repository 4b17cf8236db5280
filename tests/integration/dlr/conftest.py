"""A migrated database with a world in it, a broker with no receipts, and a dlr beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
import aiohttp
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from services.dlr import app, interpreters
from shared.broker import envelopes, topology
from shared.db import watch
from tests.integration.dlr import world
from tests.keys import SECRET_KEY
from tests.ports import free_port
from tests.servers import as_services


@pytest.fixture
def database(services: asyncpg.Pool) -> asyncpg.Pool:
    """Where dlr keeps what it hears."""
    return services


@pytest.fixture
async def town(database: asyncpg.Pool) -> world.World:
    return await world.build(database)


@pytest.fixture
async def readers(town: world.World) -> interpreters.Interpreters:
    return interpreters.Interpreters(await watch.Watch.start(town.pool))


@dataclass(frozen=True, slots=True)
class Broker:
    """The test's own way to RabbitMQ, past the gate."""

    channel: AbstractChannel
    gate: world.Gate
    gated_url: str

    async def publish(self, *receipts: envelopes.RawReceipt) -> None:
        """One envelope into the queue of receipts."""
        await self.publish_raw(envelopes.encode_receipts(list(receipts)))

    async def publish_raw(self, body: bytes) -> None:
        await self.channel.default_exchange.publish(
            aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
            routing_key=topology.RECEIPTS,
        )

    async def count(self, queue: str) -> int:
        """Deliveries that wait in a queue, not counting those that somebody holds."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def take(self) -> list[envelopes.RawReceipt]:
        """Take everything out of the queue of receipts."""
        queue = await topology.declare(self.channel, topology.RECEIPTS)
        taken: list[envelopes.RawReceipt] = []
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            taken += envelopes.decode_receipts(message.body)
        return taken


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[Broker]:
    async with (
        await aio_pika.connect(amqp_url, timeout=10) as connection,
        connection.channel() as channel,
        world.gate(amqp_url) as (gate, gated_url),
    ):
        for queue in (topology.RECEIPTS, topology.DEAD):
            await channel.queue_delete(queue)
            await topology.declare(channel, queue)
        yield Broker(channel, gate, gated_url)
        for queue in (topology.RECEIPTS, topology.DEAD):
            await channel.queue_delete(queue)


@dataclass(frozen=True, slots=True)
class Service:
    """A running dlr, a client of its HTTP face, and where it tells its counts."""

    client: aiohttp.ClientSession
    metrics_url: str

    async def is_ready(self) -> bool:
        async with self.client.get("/health/ready") as response:
            return response.status == 200


@asynccontextmanager
async def serving(database_url: str, broker: Broker) -> AsyncIterator[Service]:
    """Run a whole dlr until the body ends, then stop it as SIGTERM does."""
    async with asyncio.timeout(60):
        chosen = app.Settings(
            database_url=as_services(database_url),
            secret_key=SECRET_KEY,
            amqp_url=broker.gated_url,
            dlr_port=free_port(),
            metrics_port=free_port(),
        )
        url = f"http://127.0.0.1:{chosen.dlr_port}"
        async with app.serve(chosen, asyncio.Event()), aiohttp.ClientSession(url) as client:
            service = Service(client, f"http://127.0.0.1:{chosen.metrics_port}/metrics")
            await world.eventually(service.is_ready)
            yield service


@pytest.fixture
async def service(database_url: str, town: world.World, broker: Broker) -> AsyncIterator[Service]:
    async with serving(database_url, broker) as running:
        yield running
