"""Rows of work and their queue: whatever one of them loses, nothing is stuck and nothing piles
up."""

from __future__ import annotations

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import asyncpg
import pytest

from services.ingest import metrics
from services.ingest import relay as relays
from shared.broker import link, publish, topology
from shared.db import published, work
from tests.drafts import draft
from tests.integration.dispatcher.conftest import PRICE_MICRO
from tests.integration.relay.conftest import Post, delete, exists, holds_one


async def test_a_backlog_older_than_the_republishing_age_is_in_its_queue_once(post: Post) -> None:
    # given more than a slow carrier takes in that time
    await post.town.accept(450)
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    await post.relay._sweep()
    await post.mark()
    assert await post.publisher.ready_count(post.queue) == 3
    # when that time passes again and again
    for _ in range(3):
        await post.age(relays.STALE_SECONDS + 1)
        await post.relay._find_lost()
        assert await post.states() == ["ready"] * 450
        await post.relay._sweep()
        await post.mark()
        # then each message is in the queue once
        assert await post.publisher.ready_count(post.queue) == 3


async def test_a_backlog_is_left_alone_before_that_age(post: Post) -> None:
    await post.town.accept(3)
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    await post.relay._sweep()
    await post.mark()
    await post.age(relays.STALE_SECONDS - 60)
    await post.relay._find_lost()
    assert await post.states() == ["published"] * 3


async def test_what_was_stored_is_on_its_way_before_its_producers_are_told(
    post: Post, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given messages that a transaction has stored, on a machine that may be slow
    monkeypatch.setattr(relays, "AHEAD_SECONDS", 10.0)
    stored = [draft(0, 0, PRICE_MICRO) for _ in range(50)]
    # when they have been published, and this process then stands still
    await post.relay.publish_ahead(stored)
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(asyncio.run, holds_one(amqp_url, post.queue)).result()
    # then the broker has them all the same
    assert found


async def test_what_was_confirmed_by_a_queue_that_is_lost_is_never_marked(post: Post) -> None:
    # given messages that the broker confirmed a moment ago, and that are not marked yet
    await post.town.accept(5)
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    await post.relay._sweep()
    # when the queue is lost, and then comes the time to mark them
    await published.republish(post.town.pool, *topology.of_mt_queue(post.queue))
    post.relay._confirmed[0] = (time.monotonic() - 60, post.relay._confirmed[0][1])
    await post.relay._mark()
    # then they are ready still
    assert await post.states() == ["ready"] * 5


async def test_what_was_confirmed_and_nobody_claims_is_marked_before_its_lease_ends(
    post: Post,
) -> None:
    # given messages that the broker confirmed four seconds ago, of which one was claimed, and
    # another put back and taken again just now
    claimed, again, *others = [item.message_id for item in await post.town.accept(5)]
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    await post.relay._sweep()
    ((_, confirmed),) = post.relay._confirmed
    assert len(confirmed) == 5
    await post.town.pool.execute("DELETE FROM work WHERE message_id = $1", claimed)
    await post.town.pool.execute(
        "UPDATE work SET ready_at = ready_at - interval '4 seconds' WHERE message_id <> $1", again
    )
    post.relay._confirmed[0] = (time.monotonic() - 4, confirmed)
    # when it is time to mark them
    await post.relay._mark()
    # then the others are marked, so that nobody publishes them again
    states = await post.town.waiting()
    assert [states[each] for each in others] == ["published"] * 3
    assert states[again] == "ready"
    assert not post.relay._confirmed


async def test_a_queue_is_not_made_before_its_rows_are_ready(
    post: Post, amqp_url: str, database_url: str
) -> None:
    # given a queue that is gone, and a lock on a row that was in it
    (item,) = await post.town.accept(1)
    await post.mark()
    await delete(amqp_url, [post.queue])
    hasty = await asyncpg.create_pool(
        database_url, server_settings={"lock_timeout": "300"}, min_size=1, max_size=1
    )
    restore = topology.restored_by(partial(published.republish, hasty))
    publisher = publish.Publisher(amqp_url, "t", lambda: [post.queue], restore)
    async with post.town.pool.acquire() as other:
        blocking = other.transaction()
        await blocking.start()
        await other.execute("SELECT FROM work FOR UPDATE")
        async with link.supervised(publisher.link):
            # when the waiting for it times out, once and again
            assert not await publisher.link.wait_up(1.5)
            with pytest.raises(publish.NotPublished):
                await publisher.publish(post.queue, b"too early")
            # then there is no queue yet
            assert not await exists(amqp_url, post.queue)
            # and there is as soon as the rows are ready
            await blocking.rollback()
            assert await publisher.link.wait_up(10)
            assert await post.town.waiting() == {item.message_id: "ready"}
            assert await exists(amqp_url, post.queue)
    await hasty.close()


async def test_rows_are_made_ready_page_after_page(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "PAGE_COUNT", 2)
    await post.town.accept(5)
    await post.mark()
    lane = topology.of_mt_queue(post.queue)
    assert await published.republish(post.town.pool, *lane) == 5
    assert await post.states() == ["ready"] * 5


async def test_a_missing_queue_is_made_even_if_nobody_publishes_to_it(
    post: Post, amqp_url: str
) -> None:
    await post.town.accept(1)
    await post.mark()
    await delete(amqp_url, [post.queue])
    await post.age(relays.LOST_SECONDS + 1)
    await post.relay._find_lost()
    assert await post.states() == ["ready"]
    assert await exists(amqp_url, post.queue)


async def test_a_queue_that_confirms_nothing_holds_up_no_other(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a class whose queue is silent: publishing to it never ends
    silent = post.queue.replace("normal", "bulk")
    publishing = post.publisher.publish

    async def publish_or_wait(queue: str, body: bytes) -> None:
        if queue == silent:
            await asyncio.sleep(3600)
        await publishing(queue, body)

    monkeypatch.setattr(post.publisher, "publish", publish_or_wait)
    await post.town.accept(2_100, message_class=2)
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    # when there is work for both
    async with asyncio.timeout(20):
        await post.relay._sweep()
    more = [*await post.town.accept(10), *await post.town.accept(10, message_class=2)]
    await post.town.pool.execute(
        "UPDATE work SET ready_at = now() WHERE message_id = ANY ($1)",
        [item.message_id for item in more],
    )
    began = time.monotonic()
    await post.relay._sweep()
    # then the other's is published at once
    assert await post.publisher.ready_count(post.queue) == 1
    assert time.monotonic() - began < 1.0


async def test_only_queues_that_something_was_published_to_have_an_age(post: Post) -> None:
    # of another class there is nothing, and so no age, and nothing to ask the broker about
    await post.town.accept(3)
    await post.mark()
    async with post.town.pool.acquire() as opened:
        ages = await published.ages(opened)
    assert [(topology.mt_queue(carrier, number)) for carrier, number, _ in ages] == [post.queue]


async def test_what_is_taken_of_a_backlog_is_in_order_by_accounts_and_lines(post: Post) -> None:
    # given rows of two accounts, with two lines each, that came in turn
    ids = [uuid.UUID(int=number) for number in range(8)]
    await post.town.pool.execute(
        "INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class,"
        " segment_count, state, ready_at, expires_at)"
        " SELECT id, 1 + place % 2, 10 + place / 2 % 2, 1, 'FR', 1, 1, 'ready',"
        " now() - interval '1 minute', now() + interval '1 day'"
        " FROM unnest($1::uuid[]) WITH ORDINALITY AS t (id, place)",
        ids,
    )
    # when they are taken
    async with post.town.pool.acquire() as opened:
        rows = await work.take_ready(opened, 1, 1, 8.0, 8)
    # then those of an account's line are together, the oldest first
    keys = [(row.account_id, row.line_id, row.message_id) for row in rows]
    assert keys == sorted(keys)
    assert len({key[:2] for key in keys}) == 4
    assert {key[2] for key in keys} == {*ids}


async def test_a_backlog_goes_to_its_queue_as_far_as_that_has_room(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given three pages in the table, and a queue that has room for one
    monkeypatch.setattr(relays, "TAKEN_COUNT", 10)
    monkeypatch.setattr(relays, "QUEUE_DELIVERY_COUNT_MAX", 1)
    await post.town.accept(30)
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    # when it is swept, again and again
    for _ in range(3):
        await post.relay._sweep()
    # then one page is in it; and who waits for room does not wait for the broker
    assert await post.publisher.ready_count(post.queue) == 1
    await post.relay._measure_backlog()
    assert metrics.BACKLOG._value.get() == 0
    # and the next comes when the first is gone
    await post.publisher.purge(post.queue)
    await post.relay._sweep()
    assert await post.publisher.ready_count(post.queue) == 1
    # and the last when it has been passed for long, though the queue is full
    await post.relay._sweep()
    assert await post.publisher.ready_count(post.queue) == 1
    monkeypatch.setattr(relays, "PASSED_SECONDS", 0.0)
    await post.relay._sweep()
    assert await post.publisher.ready_count(post.queue) == 2


async def test_a_backlog_that_the_broker_does_not_take_is_counted(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given more than a page, and a broker that takes none of it
    monkeypatch.setattr(relays, "TAKEN_COUNT", 10)

    async def refuse(queue: str, body: bytes) -> None:
        raise publish.NotPublished("refused")

    monkeypatch.setattr(post.publisher, "publish", refuse)
    await post.town.accept(30)
    await post.town.pool.execute("UPDATE work SET ready_at = now()")
    await post.relay._sweep()
    # then it is a backlog, all of it
    await post.relay._measure_backlog()
    assert metrics.BACKLOG._value.get() == 30
