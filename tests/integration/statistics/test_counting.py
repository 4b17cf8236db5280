"""Statistics are what counting anew gives, at any moment, however far the adding up has come."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shared.db import audit, cleaning, message_statistics, messages, segments
from shared.db.connection import Connection
from shared.db.message_statistics import StatisticsQuestion, StatisticsRow
from shared.sms.states import SegmentState
from tests import claims
from tests.drafts import draft
from tests.integration.audit import books

RECOUNT_COUNT = 6
WORKER = UUID(int=7)
FOUND_OUT = ("statistics", "refunded_counts")
"""The checks of the audit that count anew."""


async def told(connection: Connection, *groups: str, **members: Any) -> list[StatisticsRow]:
    """What the first account is told of the last 80 days."""
    today = datetime.now(UTC).date()
    question = StatisticsQuestion(today - timedelta(days=80), today, groups=groups, **members)
    return await message_statistics.read(connection, 1, question)


async def breaches(connection: Connection) -> list[str]:
    """Which of the checks that count anew have found anything."""
    found = await audit.examine(connection)
    return [f"{each.check.name}: {each.rows}" for each in found
            if each.breach_count and each.check.name in FOUND_OUT]  # fmt: skip


async def accept(
    opened: Connection, count: int, account_ids: tuple[int, ...] = (1,), **members: Any
) -> list[UUID]:
    """Messages of these accounts in turn, of 1 to 3 segments."""
    new = [
        draft(
            6 + account_ids[n % len(account_ids)],
            1,
            books.PRICE_MICRO,
            account_id=account_ids[n % len(account_ids)],
            segment_count=1 + n % 3,
            message_class=n % 3,
            **members,
        )
        for n in range(count)
    ]
    await messages.insert(opened, new)
    return [each.message_id for each in new]


@pytest.mark.parametrize("is_added_up", [False, True])
async def test_m51_each_status_is_counted_before_and_after_adding_up(
    owner: asyncpg.Connection, services: asyncpg.Pool, written: books.Books, is_added_up: bool
) -> None:
    # Given seven messages of two segments, one in every place
    if is_added_up:
        await message_statistics.add_up(services)
        assert await owner.fetchval("SELECT count(*) FROM statistics_pages") == 0
    # When they are counted by status
    async with services.acquire() as opened:
        rows = await told(opened, "status")
    # Then each is where it is, with its segments; what was refunded has cost nothing
    assert {row.status: (row.message_count, row.segment_count) for row in rows} == {
        "delivered": (1, 2),
        "parked": (1, 2),
        "queued": (2, 4),
        "rejected": (1, 2),
        "scheduled": (1, 2),
        "submitted": (1, 2),
    }
    costs = {row.status: row.cost_micro for row in rows}
    assert costs["rejected"] == 0
    assert costs["delivered"] == 2 * books.PRICE_MICRO
    assert await breaches(owner) == []


async def test_a_statement_writes_one_row_however_many_accounts_it_is_about(
    owner: asyncpg.Connection, services: asyncpg.Pool, written: books.Books
) -> None:
    before = await owner.fetchval("SELECT count(*) FROM statistics_pages")
    async with services.acquire() as opened:
        await accept(opened, 20, (1, 2))
    assert await owner.fetchval("SELECT count(*) FROM statistics_pages") == before + 1


_ENDS = (
    SegmentState.DELIVERED,
    SegmentState.UNDELIVERED,
    SegmentState.REJECTED,
    SegmentState.EXPIRED,
    SegmentState.UNKNOWN,
)


async def _live(services: asyncpg.Pool, seed: int) -> None:
    """A producer, a dispatcher and a dlr: messages are accepted, taken or refused, and end."""
    chance = random.Random(seed)
    for _ in range(6):
        async with services.acquire() as opened:
            message_ids = await accept(opened, 15, (1, 2))
            claimed = await claims.claim(opened, message_ids, WORKER)
            parts = [(each.message_id, part) for each in claimed for part in each.parts]
            is_taken = {each: chance.random() < 0.8 for each in parts}
            for states_of in (
                {each: SegmentState.SUBMITTED if is_taken[each] else SegmentState.REJECTED
                 for each in parts},
                {each: chance.choice(_ENDS) for each in parts if is_taken[each]},
                {each: chance.choice(_ENDS) for each in parts if is_taken[each]},
            ):  # fmt: skip
                evidence = [
                    segments.Evidence(*each, state, accepted=is_taken[each], code=state[:3])
                    for each, state in states_of.items()
                ]
                async with opened.transaction():
                    await segments.settle(opened, evidence)


async def test_m51_counting_anew_gives_the_same_at_any_moment_under_load(
    owner: asyncpg.Connection, services: asyncpg.Pool, written: books.Books
) -> None:
    # Given messages on their ways, and two who add up as fast as they can
    async def add_up() -> None:
        while True:
            await message_statistics.add_up(services, page_count=3)
            await asyncio.sleep(0)

    async def live(seed: int) -> None:
        while True:
            await _live(services, seed)

    under_way = [asyncio.create_task(add_up()) for _ in range(2)]
    under_way += [asyncio.create_task(live(seed)) for seed in range(4)]
    # When it is counted anew meanwhile, each time on a snapshot of its own
    for _ in range(RECOUNT_COUNT):
        # Then it is what the statistics tell
        assert await breaches(owner) == []
        assert not any(task.done() for task in under_way)
    for task in under_way:
        task.cancel()
    await asyncio.wait(under_way)
    await message_statistics.add_up(services)
    assert await breaches(owner) == []
    # And no sum has stayed on a status that was left
    assert await owner.fetchval("SELECT count(*) FROM statistics WHERE message_count < 0") == 0


async def test_what_adds_up_and_is_killed_has_done_all_or_nothing(
    owner: asyncpg.Connection, services: asyncpg.Pool, services_url: str, written: books.Books
) -> None:
    async with services.acquire() as opened:
        before = await told(opened, "status", "country")
        # When who adds up dies before its commit
        dying = await asyncpg.connect(services_url, timeout=10)
        await dying.execute("BEGIN")
        assert await dying.fetchval("SELECT add_up_statistics(1000)") > 0
        pid = dying.get_server_pid()
        await owner.execute("SELECT pg_terminate_backend($1)", pid)
        while await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
            await asyncio.sleep(0.01)
        dying.terminate()
        # Then nothing has changed; and the next one does it
        assert await told(opened, "status", "country") == before
        assert await opened.fetchval("SELECT count(*) FROM statistics") == 0
        await message_statistics.add_up(services)
        assert await told(opened, "status", "country") == before
    assert await breaches(owner) == []


async def test_codes_without_end_make_rows_to_a_bound_and_what_is_left_is_taken_off_again(
    owner: asyncpg.Connection, services: asyncpg.Pool, written: books.Books
) -> None:
    # Given a carrier that says another word about each message
    async with services.acquire() as opened:
        message_ids = await accept(opened, 1_200, at_least_once=False)
        await accept(opened, 1)
    await owner.execute(
        "UPDATE messages SET status = 'undelivered', code = message_id::text,"
        " reason = 'r' || right(message_id::text, 6) WHERE message_id = ANY ($1)",
        message_ids,
    )
    await owner.execute(
        "UPDATE messages SET code = code || 'x' WHERE message_id = ANY ($1)", message_ids
    )
    await message_statistics.add_up(services, page_count=2)
    async with services.acquire() as opened:
        more = await accept(opened, 1_200)
    await owner.execute(
        "UPDATE messages SET status = 'undelivered', code = message_id::text"
        " WHERE message_id = ANY ($1)",
        more,
    )
    await message_statistics.add_up(services)
    # Then there are 2,000 rows of that day and a few, and none is lost
    count = await owner.fetchval("SELECT count(*) FROM statistics WHERE account_id = 1")
    assert 1_900 < count < 2_050
    assert await breaches(owner) == []
    async with services.acquire() as opened:
        rows = await told(opened, "code", statuses=["undelivered"])
    assert sum(row.message_count for row in rows) == 2_400
    assert {row.code: row.message_count for row in rows}["other"] >= 350
    # When all of them turn out to be delivered after all
    await owner.execute("UPDATE messages SET status = 'delivered', code = '', reason = ''")
    await message_statistics.add_up(services)
    async with services.acquire() as opened:
        rows = await told(opened, "status", "code")
    # Then nothing is left of what each had been before
    assert [(row.status, row.code) for row in rows] == [("delivered", "")]
    assert await breaches(owner) == []


async def test_what_was_stored_before_is_counted_once_while_it_moves(
    owner: asyncpg.Connection, services: asyncpg.Pool, written: books.Books
) -> None:
    # Given messages that were stored, and refunded, by a release that knew no statistics
    await owner.execute("ALTER TABLE messages DISABLE TRIGGER USER")
    async with services.acquire() as opened:
        message_ids = await accept(opened, 50)
        await claims.claim(opened, message_ids[:10], WORKER)
        async with opened.transaction():
            await segments.settle(
                opened,
                [segments.Evidence(each, 1, SegmentState.REJECTED, code="x") for each in
                 message_ids[:10]],
            )  # fmt: skip
    await owner.execute(
        "UPDATE messages SET is_counted = false, refunded_segment_count = 0, code = ''"
    )
    await owner.execute("ALTER TABLE messages ENABLE TRIGGER USER")
    await owner.execute("DELETE FROM statistics_pages; DELETE FROM statistics")
    async with services.acquire() as opened:
        # When it may not begin yet, nothing is counted, and what moves meanwhile is not either
        await owner.execute("INSERT INTO statistics_filling (next_id) VALUES (least_id('epoch'))")
        await message_statistics.fill(services)
        assert not await message_statistics.is_complete(opened)
        await claims.claim(opened, message_ids[10:20], WORKER)
        async with opened.transaction():
            await segments.settle(
                opened,
                [segments.Evidence(each, 1, SegmentState.DELIVERED, accepted=True) for each in
                 message_ids[10:20]],
            )  # fmt: skip
        assert await told(opened) == []
    # And then it may, while others hold some of the rows
    await owner.execute(
        "UPDATE statistics_filling SET end_id = least_id(now() + interval '1 hour')"
    )
    async with services.acquire() as opened, services.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(
            "UPDATE messages SET updated_at = now() WHERE message_id = $1", message_ids[30]
        )
        await message_statistics.fill(services, page_count=7)
        assert not await message_statistics.is_complete(opened)
        await accept(opened, 3)
        await transaction.commit()
        await message_statistics.fill(services, page_count=7)
        # Then all are counted, each once, with what was given back and the carrier's word
        assert await message_statistics.is_complete(opened)
        assert sum(row.message_count for row in await told(opened)) == 7 + 50 + 3
        assert [row.code for row in await told(opened, "code", statuses=["rejected"])] == ["", "x"]
    assert await breaches(owner) == []


async def test_what_the_retention_takes_away_stays_counted_for_three_months(
    owner: asyncpg.Connection, services: asyncpg.Pool, written: books.Books
) -> None:
    # Given messages of 70 days ago, a retention of 60, and messages of more than three months ago
    async with services.acquire() as opened:
        old = await accept(opened, 4)
        older = await accept(opened, 4)
    for ids, days in ((old, 70), (older, 100)):
        await owner.execute("DELETE FROM work WHERE message_id = ANY ($1)", ids)
        await owner.execute(
            "UPDATE messages SET created_at = created_at - $2 * interval '1 day',"
            " message_id = (left(least_id(created_at - $2 * interval '1 day')::text, 13)"
            " || substr(message_id::text, 14))::uuid WHERE message_id = ANY ($1)",
            ids,
            days,
        )
    await owner.execute("UPDATE platform SET retention_days = 60, receipt_deadline_seconds = 3600")
    await message_statistics.add_up(services)
    # When they are taken away
    assert await cleaning.forget_old(services) > 0
    await message_statistics.add_up(services)
    # Then those of the last three months are still told, the others are not
    async with services.acquire() as opened:
        rows = await told(opened, "day")
    day = datetime.now(UTC).date() - timedelta(days=70)
    assert {row.day: row.message_count for row in rows}[day] == 4
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM messages WHERE created_at < now() - interval '60 days'"
        )
        == 0
    )
    assert await owner.fetchval("SELECT min(day) FROM statistics") == day
    # And days go when they are three months old
    await owner.execute("UPDATE statistics SET day = day - 40 WHERE day = $1", day)
    await message_statistics.add_up(services)
    assert await owner.fetchval("SELECT count(*) FROM statistics WHERE day < $1", day) == 0
