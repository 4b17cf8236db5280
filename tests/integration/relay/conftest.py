"""A relay between a database with messages and the broker, driven step by step."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import aio_pika
import pytest
import uvloop

from services.ingest.relay import Relay
from shared.broker import link, publish, topology
from shared.db import published
from tests.integration.dispatcher import conftest as dispatcher
from tests.integration.dispatcher.conftest import Town

town = dispatcher.town


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The product's own, for some of these tests count its turns."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True, slots=True)
class Post:
    """The relay's parts, and its one carrier's queue of normal messages."""

    town: Town
    relay: Relay
    publisher: publish.Publisher
    queue: str

    async def age(self, seconds: float) -> None:
        """Let what is published have been so for longer."""
        await self.town.pool.execute(
            "UPDATE work SET ready_at = ready_at - $1 * interval '1 second'"
            " WHERE state = 'published'",
            seconds,
        )

    async def mark(self) -> None:
        """Mark what is confirmed as published, without waiting for its time."""
        await self.town.pool.execute(
            "UPDATE work SET state = 'published', ready_at = now() WHERE state = 'ready'"
        )

    async def states(self) -> list[str]:
        """The states of the rows of work."""
        return sorted((await self.town.waiting()).values())


@pytest.fixture
async def post(town: Town, amqp_url: str) -> AsyncIterator[Post]:
    """With a carrier of its own, for the broker is shared."""
    carrier = uuid.uuid4().hex
    await town.pool.execute("UPDATE carriers SET name = $1", carrier)
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    queue = topology.mt_queue(carrier, 1)
    restore = topology.restored_by(partial(published.republish, town.pool))
    publisher = publish.Publisher(amqp_url, "t", lambda: [queue], restore)
    async with link.supervised(publisher.link):
        assert await publisher.link.wait_up(10)
        yield Post(town, Relay(town.pool, town.configured, publisher), publisher, queue)
    await delete(amqp_url, topology.mt_queues(carrier))


async def delete(url: str, queues: list[str]) -> None:
    """Delete queues, as somebody at a console may."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection, connection.channel() as channel:
        for queue in queues:
            await channel.queue_delete(queue)


async def exists(url: str, queue: str) -> bool:
    """Whether there is such a queue."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(queue, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
    return True


async def holds_one(url: str, queue: str) -> bool:
    """Whether a delivery lies in the queue, now or in a moment."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        for _ in range(40):
            if await topology.ready_count(connection, queue):
                return True
            await asyncio.sleep(0.05)
    return False
