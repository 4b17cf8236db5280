"""A whole dlr on a real queue: applied, acknowledged, poisoned, cut off, stopped."""

from __future__ import annotations

from functools import partial

from shared.broker import envelopes, topology
from tests.chaos import gate
from tests.integration.dlr import conftest, world


async def _is_delivered(town: world.World, count: int) -> bool:
    return await town.count("messages WHERE status = 'delivered'") == count


async def test_receipts_are_applied_and_acknowledged_when_they_wait_in_the_queue(
    town: world.World, broker: conftest.Broker, service: conftest.Service
) -> None:
    message_ids = await town.submit(600)

    for start in range(0, 600, 50):
        part = message_ids[start : start + 50]
        await broker.publish(*(town.receipt(message_id, "DELIVRD") for message_id in part))

    await world.eventually(lambda: _is_delivered(town, 600))
    assert await town.kept_count() == 600
    # The counts are told to operators, not where carriers call.
    async with service.client.get("/metrics") as response:
        assert response.status == 404
    async with service.client.get(service.metrics_url) as response:
        assert 'sluice_dlr_receipts_total{outcome="matched"}' in await response.text()


async def test_each_receipt_is_kept_once_when_the_service_was_stopped_under_load(
    town: world.World, broker: conftest.Broker, database_url: str
) -> None:
    # Given a service that is stopped while it is busy
    message_ids = await town.submit(2_000)
    for start in range(0, 2_000, 10):
        part = message_ids[start : start + 10]
        await broker.publish(*(town.receipt(message_id, "DELIVRD") for message_id in part))
    async with conftest.serving(database_url, broker):
        await world.eventually(lambda: _some_stored(town))
    first_count = await town.kept_count()
    # When the next one does the rest, and what RabbitMQ had not yet noted as acknowledged
    async with conftest.serving(database_url, broker):
        await world.eventually(lambda: _is_delivered(town, 2_000))
        await world.eventually(lambda: _is_empty(broker))
    # Then each is kept once
    assert first_count > 0
    stored = [receipt.raw for each in message_ids for receipt in await town.kept(each)]
    assert len(set(stored)) == len(stored) == 2_000
    assert await broker.take() == []


async def _is_empty(broker: conftest.Broker) -> bool:
    return await broker.count(topology.RECEIPTS) == 0


async def _some_stored(town: world.World) -> bool:
    return await town.kept_count() > 0


async def test_an_unreadable_envelope_is_buried_and_the_next_one_is_applied(
    town: world.World, broker: conftest.Broker, service: conftest.Service
) -> None:
    [message_id] = await town.submit(1)

    await broker.publish_raw(b"\xc1 not an envelope")
    await broker.publish(town.receipt(message_id, "DELIVRD"))

    await world.eventually(lambda: _is_delivered(town, 1))
    await world.eventually(lambda: _is_buried(broker, 1))


async def _is_buried(broker: conftest.Broker, count: int) -> bool:
    return await broker.count(topology.DEAD) == count


async def test_a_poisoned_receipt_harms_none_of_those_that_travel_with_it(
    town: world.World, broker: conftest.Broker, service: conftest.Service
) -> None:
    """One names a segment as PostgreSQL cannot store it and is kept unread; one comes from a
    carrier with an impossible number and can only be buried, with its envelope."""
    message_ids = await town.submit(4)
    first, second, third, fourth = (town.receipt(each, "DELIVRD") for each in message_ids)
    unstorable = town.raw(rb'{"id":"a\u0000b","state":2}', carrier="bound")
    impossible = envelopes.RawReceipt(town.raw(b"").receipt_id, 1 << 40, 0, b"{}")

    await broker.publish(first, unstorable, second)
    await broker.publish(third, impossible, fourth)

    await world.eventually(lambda: _is_delivered(town, 4))
    await world.eventually(lambda: _is_buried(broker, 1))
    [kept] = await town.pool.fetch(
        "SELECT receipt_id, raw FROM receipts WHERE state = 'unreadable'"
    )
    assert tuple(kept) == (unstorable.receipt_id, unstorable.body)
    assert await town.kept_count() == 5


async def test_every_receipt_acts_once_when_the_broker_link_is_cut_again_and_again(
    town: world.World, broker: conftest.Broker, service: conftest.Service
) -> None:
    message_ids = await town.submit(3_000)
    for start in range(0, 3_000, 5):
        part = message_ids[start : start + 5]
        await broker.publish(*(town.receipt(message_id, "DELIVRD") for message_id in part))
        if start % 500 == 250:
            broker.gate.cut()
            await world.eventually(service.is_ready)

    await world.eventually(lambda: _is_delivered(town, 3_000), deadline_seconds=30)
    assert await town.kept_count() == 3_000
    assert await town.count("all_events WHERE status = 'delivered'") == 3_000


async def test_a_receipt_is_acknowledged_only_after_its_commit_when_postgresql_is_away(
    town: world.World, broker: conftest.Broker, database_url: str
) -> None:
    [message_id] = await town.submit(1)

    async with (
        world.gate(database_url) as (database_gate, gated_url),
        conftest.serving(gated_url, broker),
    ):
        database_gate.shut()
        await broker.publish(town.receipt(message_id, "DELIVRD"))
        await world.eventually(lambda: _is_waiting(broker, 0))
        broker.gate.shut()
        await world.eventually(lambda: _is_waiting(broker, 1))
        broker.gate.reopen()
        database_gate.reopen()

        await world.eventually(lambda: _is_delivered(town, 1))
        await world.eventually(lambda: _is_waiting(broker, 0))

    assert await town.kept_count() == 1


async def test_nothing_is_kept_twice_when_it_is_delivered_again_after_its_commit(
    town: world.World, broker: conftest.Broker, database_url: str
) -> None:
    # Given a dlr that has taken two receipts, of which one knows no segment, and loses the broker
    [message_id], [waiting_id] = await town.submit(1), await town.hand_over(1)
    async with (
        world.gate(database_url) as (database_gate, gated_url),
        conftest.serving(gated_url, broker),
    ):
        database_gate.shut()
        await broker.publish(*(town.receipt(each, "DELIVRD") for each in (message_id, waiting_id)))
        await world.eventually(lambda: _is_waiting(broker, 0))
        broker.gate.shut()
        await world.eventually(lambda: _is_waiting(broker, 1))
        # When it applies them, and they come once more
        database_gate.reopen()
        await world.eventually(lambda: _is_delivered(town, 1))
        broker.gate.reopen()
        await world.eventually(lambda: _is_waiting(broker, 0))
    # Then both are kept as they were
    assert await broker.take() == []
    assert len(await town.kept(message_id)) == 1
    assert await town.kept_count() == 2


async def test_nothing_is_kept_twice_when_the_answer_to_a_commit_is_lost(
    town: world.World, broker: conftest.Broker, database_url: str
) -> None:
    message_ids = await town.submit(10)

    async with (
        gate.gate(database_url, b"INSERT INTO receipt_pages", gate.COMMITTED, 3) as way,
        conftest.serving(way.url, broker),
    ):
        for count, message_id in enumerate(message_ids, 1):
            await broker.publish(town.receipt(message_id, "DELIVRD"))
            await world.eventually(partial(_is_delivered, town, count))
        await world.eventually(lambda: _is_waiting(broker, 0))

    assert way.swallowed_count == 3
    assert [len(await town.kept(each)) for each in message_ids] == [1] * 10


async def _is_waiting(broker: conftest.Broker, count: int) -> bool:
    return await broker.count(topology.RECEIPTS) == count


async def test_readiness_says_what_is_missing_when_the_broker_is_away(
    broker: conftest.Broker, service: conftest.Service
) -> None:
    broker.gate.shut()

    await world.eventually(lambda: _is_unready(service))
    broker.gate.reopen()

    await world.eventually(service.is_ready)
    async with service.client.get("/health/live") as response:
        assert response.status == 200


async def _is_unready(service: conftest.Service) -> bool:
    async with service.client.get("/health/ready") as response:
        return response.status == 503 and "broker" in (await response.json())["detail"]
