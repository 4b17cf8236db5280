"""Deliveries end in groups, in whatever order they end: each once, and no other with it."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aio_pika
import pytest

from shared.broker import consume, link, publish, topology

COUNT = 7


class Hands:
    """Holds what came, until the test ends it."""

    def __init__(self) -> None:
        self.held: dict[bytes, consume.Delivery] = {}

    def take(self, delivery: consume.Delivery) -> None:
        self.held[delivery.body] = delivery

    async def holds(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.held) < count:
                await asyncio.sleep(0.02)

    async def settle(self, bodies: Iterable[int]) -> None:
        """End these in one turn of the loop."""
        await asyncio.gather(*(self.held[b"%d" % number].settle() for number in bodies))


@asynccontextmanager
async def consuming(amqp_url: str, queue: str) -> AsyncIterator[Hands]:
    hands = Hands()
    consumer = consume.Consumer(
        amqp_url, "t", queue, 100, hands.take, topology.nothing_to_restore, hands.held.clear
    )
    async with link.supervised(consumer.link):
        assert await consumer.link.wait_up(10)
        yield hands


@pytest.fixture
async def queue(amqp_url: str) -> str:
    """A queue with COUNT deliveries, each a number from 1 on."""
    name = f"mt.{uuid.uuid4().hex}.normal"
    publisher = publish.Publisher(amqp_url, "t", lambda: [name], topology.nothing_to_restore)
    async with link.supervised(publisher.link):
        assert await publisher.link.wait_up(10)
        for number in range(1, COUNT + 1):
            await publisher.publish(name, b"%d" % number)
    return name


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([[1, 2, 3]], id="in order"),
        pytest.param([[2, 4], [1], [5, 3]], id="gaps that close later"),
        pytest.param([[7], [6, 5], [1]], id="from the end"),
        pytest.param([[3, 1, 2], [5], [4, 6, 7]], id="all of them"),
    ],
)
async def test_what_was_not_settled_comes_again_and_nothing_else(
    amqp_url: str, queue: str, turns: list[list[int]]
) -> None:
    async with consuming(amqp_url, queue) as hands:
        await hands.holds(COUNT)
        for turn in turns:
            await hands.settle(turn)
    settled = {number for turn in turns for number in turn}

    async with consuming(amqp_url, queue) as hands:
        await hands.holds(COUNT - len(settled))
        await asyncio.sleep(0.2)
        left = {int(body) for body in hands.held}

    assert left == set(range(1, COUNT + 1)) - settled


async def test_one_that_is_buried_is_not_settled_with_its_neighbours(
    amqp_url: str, queue: str
) -> None:
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        dead = await topology.declare(channel, topology.DEAD)
        await dead.purge()
        async with consuming(amqp_url, queue) as hands:
            await hands.holds(COUNT)
            await asyncio.gather(
                *(hands.held[b"%d" % number].settle() for number in (1, 2, 4, 5)),
                hands.held[b"3"].bury(),
            )
            async with asyncio.timeout(10):
                while (buried := await dead.get(no_ack=True, fail=False)) is None:
                    await asyncio.sleep(0.05)

        assert buried.body == b"3"
        assert await dead.get(no_ack=True, fail=False) is None


async def test_a_delivery_of_a_link_that_is_gone_ends_without_harm(
    amqp_url: str, queue: str
) -> None:
    async with consuming(amqp_url, queue) as hands:
        await hands.holds(COUNT)
        stale = dict(hands.held)

    await asyncio.gather(*(delivery.settle() for delivery in stale.values()))

    async with consuming(amqp_url, queue) as hands:
        await hands.holds(COUNT)


async def test_everything_comes_again_when_the_broker_closes_the_channel(
    amqp_url: str, queue: str
) -> None:
    async with consuming(amqp_url, queue) as hands:
        await hands.holds(COUNT)
        delivery = next(iter(hands.held.values()))
        hands.held.clear()
        gc.collect()
        # A tag that never was, for which RabbitMQ closes the channel alone.
        await delivery._acks._channel.basic_ack(10_000)

        await hands.holds(COUNT)
