"""A lane that meets what nobody foresaw ends, rather than going on half alive."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from uuid import UUID

import asyncpg
import msgspec
import prometheus_client
import pytest

from services.dispatcher import park
from services.dispatcher.lane import Lane
from services.dispatcher.record import Recorder
from shared.broker import envelopes
from shared.carriers import contract, outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import parking
from shared.limits import permits
from shared.limits.limiter import Wait
from shared.rules import snapshot
from shared.runtime import ids
from shared.sms import segmentation
from tests.integration.dispatcher.carrier import (
    ACCEPTED,
    Delivered,
    ScriptedCarrier,
    desk_of,
)
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town

THROTTLED = Outcome(OutcomeKind.THROTTLED)


def lane_of(town: Town, link: ScriptedCarrier) -> Lane:
    carrier = snapshot.Carrier(1, "practice", "smpp", 0, {})
    return Lane(desk_of(town), Recorder(desk_of(town)), carrier, link)


async def test_a_delivery_is_settled_when_all_its_messages_have_come_to_rest(town: Town) -> None:
    items = await town.accept(3)
    lane = lane_of(town, ScriptedCarrier([ACCEPTED] * 3))
    delivery = Delivered(envelopes.encode_work(items))
    running = asyncio.create_task(lane.run())
    lane.receive(1, delivery)
    async with asyncio.timeout(10):
        while not delivery.settled:
            await asyncio.sleep(0.01)
    assert {await town.status(item.message_id) for item in items} == {"submitted"}
    await lane.drain()
    running.cancel()


async def test_who_may_go_leaves_while_the_parked_of_its_batch_wait_for_their_line(
    town: Town,
) -> None:
    # given a line with something parked, which somebody holds, and a batch of more than it may send
    parked, *more = await town.accept(LINE_LIMIT + 2, line=town.small)
    await park.park(town.pool, [(parked, Wait(int(time.time() * 1000) + 60_000))])
    link = ScriptedCarrier([ACCEPTED] * len(more))
    lane = lane_of(town, link)
    delivery = Delivered(envelopes.encode_work([*more, *await town.accept(1)]))
    running = asyncio.create_task(lane.run())
    async with town.pool.acquire() as other, other.transaction():
        await parking.lock_beside(other, [town.small.line_id])
        # when it comes, then who may go is with the carrier before the line is let go
        lane.receive(1, delivery)
        async with asyncio.timeout(3):
            while len(link.submitted) < LINE_LIMIT + 1:
                await asyncio.sleep(0.01)
        assert sorted((await town.waiting()).values()) == ["parked", "ready"]
    async with asyncio.timeout(10):
        while not delivery.settled:
            await asyncio.sleep(0.01)
    assert sorted((await town.waiting()).values()) == ["parked"] * 2
    await lane.drain()
    running.cancel()


async def test_an_empty_or_unreadable_delivery_holds_nothing_up(town: Town) -> None:
    lane = lane_of(town, ScriptedCarrier([]))
    empty, garbage = Delivered(envelopes.encode_work([])), Delivered(b"\xff garbage")
    lane.receive(1, empty)
    lane.receive(1, garbage)
    # and one that is well formed, of a message without segments
    (item,) = await town.accept(1)
    poison = Delivered(envelopes.encode_work([msgspec.structs.replace(item, segment_count=0)]))
    lane.receive(1, poison)
    await lane.drain()
    assert (empty.settled, garbage.settled) == (True, False)
    assert garbage.buried
    assert poison.buried


async def test_what_was_sent_before_costs_a_slow_carrier_no_time(town: Town) -> None:
    # given a carrier of one segment a second, and a message behind ten that are gone already
    await town.pool.execute("UPDATE carriers SET segments_per_second = 1")
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    (item,) = await town.accept(1)
    gone = [msgspec.structs.replace(item, message_id=ids.uuid7()) for _ in range(10)]
    lane = lane_of(town, ScriptedCarrier([ACCEPTED]))
    running = asyncio.create_task(lane.run())
    began = time.monotonic()
    # when they come, then it is sent at once
    delivery = Delivered(envelopes.encode_work([*gone, item]))
    lane.receive(1, delivery)
    async with asyncio.timeout(20):
        while not delivery.settled:
            await asyncio.sleep(0.01)
    assert time.monotonic() - began < 3
    await lane.drain()
    running.cancel()


@pytest.mark.parametrize("outcome", [THROTTLED, Outcome(OutcomeKind.HALTED), outcomes.UNAVAILABLE])
async def test_what_the_link_does_not_take_keeps_its_place(
    town: Town, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given six messages of two deliveries, of which the second to the fifth are not taken twice
    items = await town.accept(6)
    first, *middle, last = [item.message_id for item in items]
    link = ScriptedCarrier([], room=5)
    tries: Counter[UUID] = Counter()

    def submit(segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        tries[segment.message_id] += 1
        refused = segment.message_id in middle and tries[segment.message_id] <= 2
        link.submitted.append(segment)
        on_outcome(outcome if refused else ACCEPTED)

    monkeypatch.setattr(link, "submit", submit)
    lane = lane_of(town, link)
    deliveries = [Delivered(envelopes.encode_work(half)) for half in (items[:3], items[3:])]
    for delivery in deliveries:
        lane.receive(1, delivery)
    running = asyncio.create_task(lane.run())
    # when they are
    async with asyncio.timeout(10):
        while not all(delivery.settled for delivery in deliveries):
            await asyncio.sleep(0.01)
    # then they went in their order
    sent = [each.message_id for each in link.submitted if each.message_id != last]
    assert sent == [first, *middle, *middle, *middle]
    assert {await town.status(item.message_id) for item in items} == {"submitted"}
    await lane.drain()
    running.cancel()


async def test_what_keeps_its_place_is_published_so_that_a_death_loses_nothing(town: Town) -> None:
    # given a lane that drains while what it sent is throttled
    (item,) = await town.accept(1)
    lane = lane_of(town, link := ScriptedCarrier([THROTTLED]))
    delivery = Delivered(envelopes.encode_work([item]))
    lane.receive(1, delivery)
    running = asyncio.create_task(lane.run())
    async with asyncio.timeout(10):
        while not link.submitted:
            await asyncio.sleep(0.01)
        lane.link = ScriptedCarrier([], room=0)
        await lane.drain()
    running.cancel()
    # then the broker still has its delivery, and PostgreSQL knows that
    assert not delivery.settled
    assert set((await town.waiting()).values()) == {"published"}


async def test_what_keeps_its_place_is_published_anew_when_its_delivery_is_stale(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a message whose delivery comes again while it is being submitted
    (item,) = await town.accept(1)
    lane = lane_of(town, link := ScriptedCarrier([]))

    def submit(_segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        lane.forget_held(1)
        on_outcome(THROTTLED)

    monkeypatch.setattr(link, "submit", submit)
    lane.receive(1, Delivered(envelopes.encode_work([item])))
    running = asyncio.create_task(lane.run())
    # when it is throttled, then the relay publishes it
    async with asyncio.timeout(10):
        while set((await town.waiting()).values()) != {"ready"} or lane._in_flight:
            await asyncio.sleep(0.01)
    await lane.drain()
    running.cancel()


async def test_who_watches_sees_that_nothing_leaves_because_clocks_are_apart(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis whose clock differs from PostgreSQL's
    name, labels = "sluice_dispatch_delayed_total", {"cause": "clocks_apart"}
    before = prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0
    items = await town.accept(1)
    lane = lane_of(town, ScriptedCarrier([ACCEPTED]))
    delivery = Delivered(envelopes.encode_work(items))
    monkeypatch.setattr(permits, "CLOCKS_APART_MS", -3_600_000)
    # When a message is to go, Then the metric tells why it does not
    running = asyncio.create_task(lane.run())
    lane.receive(1, delivery)
    async with asyncio.timeout(10):
        while (prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0) == before:
            await asyncio.sleep(0.01)
    assert set((await town.waiting()).values()) == {"ready"}
    # And it goes when they agree again
    monkeypatch.undo()
    async with asyncio.timeout(10):
        while not delivery.settled:
            await asyncio.sleep(0.01)
    await lane.drain()
    running.cancel()


@pytest.mark.parametrize(("wanted", "bits"), [("8bit", 8), ("16bit", 16)])
async def test_parts_bear_the_reference_that_the_carrier_as_it_is_set_now_wants(
    town: Town, wanted: str, bits: int
) -> None:
    # given a lane that is open while its carrier is set anew, and a message that fits either way
    lane = lane_of(town, link := ScriptedCarrier([ACCEPTED] * 2))
    await town.pool.execute(
        "UPDATE carriers SET settings = jsonb_build_object('concatenation', $1::text)", wanted
    )
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    items = await town.accept(1, segment_count=2)
    await town.pool.execute("UPDATE messages SET body = left(body, 304), concat_reference = 7")
    # when it is submitted
    running = asyncio.create_task(lane.run())
    lane.receive(1, Delivered(envelopes.encode_work(items)))
    async with asyncio.timeout(10):
        while len(link.submitted) < 2:
            await asyncio.sleep(0.01)
    # then its parts bear the one that is wanted
    found = [segmentation.parse_udh(each.udh) for each in link.submitted]
    assert [each and each.reference_bits for each in found] == [bits, bits]
    await lane.drain()
    running.cancel()


async def test_a_text_leaves_in_the_alphabet_in_which_it_was_priced_for_its_carrier(
    town: Town,
) -> None:
    # given a carrier that writes ASCII, and a text with accents that was priced as two of UCS-2
    lane = lane_of(town, link := ScriptedCarrier([ACCEPTED] * 2))
    await town.pool.execute('UPDATE carriers SET settings = \'{"alphabet": "ascii"}\'')
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    items = await town.accept(1, segment_count=2)
    await town.pool.execute("UPDATE messages SET body = repeat('é', 100), concat_reference = 7")
    # when it is submitted
    running = asyncio.create_task(lane.run())
    lane.receive(1, Delivered(envelopes.encode_work(items)))
    async with asyncio.timeout(10):
        while len(link.submitted) < 2:
            await asyncio.sleep(0.01)
    # then it leaves as that
    assert [each.encoding for each in link.submitted] == ["ucs2", "ucs2"]
    assert "".join(each.text for each in link.submitted) == "é" * 100
    await lane.drain()
    running.cancel()


async def test_the_lane_ends_when_a_batch_dies_of_something_unforeseen(town: Town) -> None:
    # given a carrier whose link breaks its contract: it raises
    items = await town.accept(1)
    lane = lane_of(town, ScriptedCarrier([]))
    running = asyncio.create_task(lane.run())
    # when a message is submitted to it
    lane.receive(1, Delivered(envelopes.encode_work(items)))
    # then the lane ends with that error, for its process to end with
    with pytest.raises((StopIteration, RuntimeError)):
        await asyncio.wait_for(running, 10)


async def test_the_lane_ends_when_answers_cannot_be_recorded_for_an_unforeseen_reason(
    town: Town, owner: asyncpg.Connection
) -> None:
    # given a database in which segments may be written no more
    items = await town.accept(1)
    await owner.execute("REVOKE INSERT, UPDATE ON segments FROM sluice_services")
    lane = lane_of(town, ScriptedCarrier([ACCEPTED]))
    running = asyncio.create_task(lane.run())
    # when a message is submitted, and answered
    lane.receive(1, Delivered(envelopes.encode_work(items)))
    # then the lane ends with that error: going on, it would be submitting for ever
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncio.wait_for(running, 10)
