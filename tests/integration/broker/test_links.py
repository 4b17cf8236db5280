"""Links to a real RabbitMQ: confirmed, mandatory, rebuilt after a kill, honest on lost disks."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import aio_pika
import pytest

from deploy.local.servers import Servers
from shared.broker import consume, link, publish, revival, topology
from tests.servers import throwaway

REGISTERED_SECONDS = 3.0
"""RabbitMQ 3.10 writes down a new quorum queue's process within seconds. Killed before that, it
comes back with a queue that answers nobody (tried: 6 of 6 at once, 0 of 4 after 3 s)."""


@pytest.fixture
def broker() -> Iterator[Servers]:
    """A durable broker to kill, restart and wipe, and no server beside it."""
    elsewhere = {
        "SLUICE_DATABASE_URL": "postgresql://elsewhere.invalid/x",
        "SLUICE_REDIS_URL": "redis://elsewhere.invalid/",
    }
    with throwaway(durable=True, elsewhere=elsewhere) as started:
        yield started


class Sink:
    """Takes deliveries and remembers what was in them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.resets = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, delivery: consume.Delivery) -> None:
        self.bodies.append(delivery.body)
        task = asyncio.create_task(delivery.settle())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reset(self) -> None:
        self.resets += 1

    async def holds(self, count: int, deadline_seconds: float = 30.0) -> None:
        async with asyncio.timeout(deadline_seconds):
            while len(set(self.bodies)) < count:
                await asyncio.sleep(0.02)


def queue_name() -> str:
    return f"mt.{uuid.uuid4().hex}.normal"


async def test_what_is_published_is_consumed_and_settled(amqp_url: str) -> None:
    queue, sink = queue_name(), Sink()
    publisher = publish.Publisher(amqp_url, "t", lambda: [queue], topology.nothing_to_restore)
    consumer = consume.Consumer(
        amqp_url, "t", queue, 10, sink.receive, topology.nothing_to_restore, sink.reset
    )
    async with link.supervised(publisher.link), link.supervised(consumer.link):
        assert await publisher.link.wait_up(10)
        await asyncio.gather(*(publisher.publish(queue, b"%d" % n) for n in range(100)))
        await sink.holds(100)
        async with asyncio.timeout(10):
            while await publisher.ready_count(queue):
                await asyncio.sleep(0.02)


async def test_a_queue_that_was_deleted_is_noticed_and_made_again(amqp_url: str) -> None:
    # given a publisher that knows its queue, and somebody who deletes it
    queue = queue_name()
    missing: list[str] = []

    async def on_missing(name: str) -> None:
        missing.append(name)

    publisher = publish.Publisher(amqp_url, "t", lambda: [queue], on_missing)
    async with link.supervised(publisher.link):
        assert await publisher.link.wait_up(10)
        assert missing == [queue]
        await _delete(amqp_url, queue)
        # when it publishes, then the loss is an error, not a silent success
        with pytest.raises(publish.NotPublished):
            await publisher.publish(queue, b"1")
        # and the next publish finds the queue missing, says so, and makes it
        await publisher.publish(queue, b"2")
        assert missing == [queue, queue]
        assert await publisher.ready_count(queue) == 1


async def _delete(url: str, queue: str) -> None:
    connection = await aio_pika.connect(url, timeout=10)
    async with connection, connection.channel() as channel:
        await channel.queue_delete(queue)


async def test_both_links_are_rebuilt_when_the_broker_is_killed(broker: Servers) -> None:
    # given traffic
    queue, sink = queue_name(), Sink()
    url = broker.amqp_url
    publisher = publish.Publisher(url, "t", lambda: [queue], topology.nothing_to_restore)
    consumer = consume.Consumer(
        url, "t", queue, 10, sink.receive, topology.nothing_to_restore, sink.reset
    )

    async def publish_until_confirmed(body: bytes) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    return await publisher.publish(queue, body)
                except publish.NotPublished:
                    await publisher.link.wait_up(20)

    async with link.supervised(publisher.link), link.supervised(consumer.link):
        assert await publisher.link.wait_up(10)
        await asyncio.gather(*(publish_until_confirmed(b"a%d" % n) for n in range(100)))
        await asyncio.sleep(REGISTERED_SECONDS)
        # when the broker dies at once and comes back
        broker.kill("rabbitmq")
        waiting = [asyncio.create_task(publish_until_confirmed(b"b%d" % n)) for n in range(100)]
        await asyncio.to_thread(broker.restart, "rabbitmq")
        # then everything confirmed arrives, over new links
        await asyncio.gather(*waiting)
        await sink.holds(200, 60)
        assert sink.resets == 2


async def test_a_lost_disk_is_announced_before_the_queue_is_made(broker: Servers) -> None:
    queue = queue_name()
    missing: list[str] = []

    async def on_missing(name: str) -> None:
        missing.append(name)

    publisher = publish.Publisher(broker.amqp_url, "t", lambda: [queue], on_missing)
    async with link.supervised(publisher.link):
        assert await publisher.link.wait_up(10)
        await publisher.publish(queue, b"lost")
        await asyncio.to_thread(broker.wipe_rabbitmq)
        async with asyncio.timeout(30):
            while len(missing) < 2:
                await asyncio.sleep(0.05)
        assert missing == [queue, queue]


async def test_a_queue_that_is_deleted_under_its_consumer_is_made_again_and_consumed(
    amqp_url: str,
) -> None:
    # given a consumer whose queue somebody deletes, which the broker tells it in one frame
    queue, sink = queue_name(), Sink()
    missing: list[str] = []

    async def on_missing(name: str) -> None:
        missing.append(name)

    consumer = consume.Consumer(amqp_url, "t", queue, 10, sink.receive, on_missing, sink.reset)
    publisher = publish.Publisher(amqp_url, "t", list, topology.nothing_to_restore)
    async with link.supervised(consumer.link), link.supervised(publisher.link):
        assert await consumer.link.wait_up(10)
        assert await publisher.link.wait_up(10)
        await _delete(amqp_url, queue)
        # then it has the rows made ready, makes the queue, and goes on
        async with asyncio.timeout(15):
            while missing != [queue, queue]:
                await asyncio.sleep(0.02)
        assert await consumer.link.wait_up(10)
        await publisher.publish(queue, b"again")
        await sink.holds(1)


async def _dead_beside_a_living(servers: Servers) -> tuple[str, str]:
    """(living, dead): a broker that was killed just after it had made the second queue comes back
    with a dead one."""
    living, dead = queue_name(), queue_name()
    async with (
        await aio_pika.connect(servers.amqp_url) as connection,
        connection.channel() as channel,
    ):
        await topology.declare(channel, living)
        await asyncio.sleep(REGISTERED_SECONDS)
        await topology.declare(channel, dead)
        servers.kill("rabbitmq")
    await asyncio.to_thread(servers.restart, "rabbitmq")
    return living, dead


async def test_a_queue_that_came_back_dead_is_made_anew_and_holds_up_no_other(
    broker: Servers,
) -> None:
    # given a dead queue, and nobody who would read it
    url = broker.amqp_url
    living, dead = await _dead_beside_a_living(broker)
    missing: list[str] = []

    async def on_missing(name: str) -> None:
        missing.append(name)

    sink, patience = Sink(), revival.Patience(1.0, 3.0, 3.0)
    publisher = publish.Publisher(
        url, "t", lambda: [living, dead], on_missing, publish_seconds=2.0, patience=patience
    )
    consumer = consume.Consumer(url, "t", dead, 10, sink.receive, on_missing, sink.reset)
    async with link.supervised(publisher.link):
        assert await publisher.link.wait_up(10)
        # when it is published to
        published = [asyncio.create_task(_until_confirmed(publisher, dead)) for _ in range(20)]
        faults = 0
        async with asyncio.timeout(60):
            while not all(task.done() for task in published):
                # then the other queue does not notice, but that once the link is built anew
                async with asyncio.timeout(1.5):
                    try:
                        await publisher.publish(living, b"other")
                    except publish.NotPublished:
                        faults += 1
                        await publisher.link.wait_up(10)
                await asyncio.sleep(0.02)
        # and it is made anew, its rows made ready before; a link that is built anew just then may
        # find it missing as well, and does the same
        assert set(missing) == {dead}
        assert faults <= 1
        async with link.supervised(consumer.link):
            await sink.holds(1)


async def test_a_queue_that_came_back_dead_is_made_anew_by_who_only_reads_it(
    broker: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a dead queue that nobody publishes to
    monkeypatch.setattr(topology, "OPERATION_SECONDS", 3.0)
    monkeypatch.setattr(revival, "PATIENCE", revival.Patience(1.0, 3.0, 3.0))
    _, dead = await _dead_beside_a_living(broker)
    missing: list[str] = []

    async def on_missing(name: str) -> None:
        missing.append(name)

    sink, url = Sink(), broker.amqp_url
    consumer = consume.Consumer(url, "t", dead, 10, sink.receive, on_missing, sink.reset)
    publisher = publish.Publisher(url, "t", list, topology.nothing_to_restore)
    async with link.supervised(consumer.link), link.supervised(publisher.link):
        # when it is to be read, then it is made anew, its rows made ready before
        assert await consumer.link.wait_up(45)
        assert set(missing) == {dead}
        await publisher.publish(dead, b"kept")
        await sink.holds(1)


async def _until_confirmed(publisher: publish.Publisher, queue: str) -> None:
    while True:
        try:
            return await publisher.publish(queue, b"kept")
        except publish.NotPublished:
            await asyncio.sleep(0.05)


async def test_a_living_queue_that_is_examined_keeps_what_it_holds(amqp_url: str) -> None:
    queue = queue_name()
    missing: list[str] = []

    async def on_missing(name: str) -> None:
        missing.append(name)

    publisher = publish.Publisher(amqp_url, "t", lambda: [queue], on_missing)
    async with link.supervised(publisher.link):
        assert await publisher.link.wait_up(10)
        await publisher.publish(queue, b"kept")
        await revival.replace_if_dead(amqp_url, queue, on_missing, revival.Patience(5.0, 0.0, 0.0))
        assert await publisher.ready_count(queue) == 1
        assert missing == [queue]
