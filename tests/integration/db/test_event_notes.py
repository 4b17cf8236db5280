"""Events are noted by whoever makes them happen, and numbered a little later."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from services.dlr import event_numbers
from shared.db import audit, events, heads
from shared.db.events import NewEvent
from shared.runtime import lifecycle


@pytest.fixture
async def accounts(owner: asyncpg.Connection) -> None:
    """Two, with logs that hold nothing."""
    await owner.execute(
        "INSERT INTO accounts (name, currency) VALUES ('shop', 'EUR'), ('other', 'EUR');"
        "INSERT INTO event_heads (account_id) SELECT account_id FROM accounts"
    )


def happened(account_id: int, number: int) -> NewEvent:
    return NewEvent(account_id, "opt_out.created", UUID(int=number))


async def note(services: asyncpg.Pool, *new: NewEvent) -> None:
    async with services.acquire() as opened:
        await events.append(opened, new)


async def told(services: asyncpg.Pool, account_id: int) -> list[int]:
    """Ids of what an account's log holds, whose numbers have no gaps."""
    async with services.acquire() as opened:
        found = await events.after(opened, account_id, 0, 100_000)
    assert [each.sequence for each in found] == [*range(1, len(found) + 1)]
    return [each.subject_id.int for each in found]


async def pages(owner: asyncpg.Connection, account_id: int) -> list[tuple[int, int]]:
    """Of each page its last number and how many events it has."""
    rows = await owner.fetch(
        "SELECT last_sequence, cardinality(message_ids) FROM event_pages WHERE account_id = $1"
        " ORDER BY last_sequence",
        account_id,
    )
    return [(last, count) for last, count in rows]


@pytest.mark.usefixtures("accounts")
async def test_what_many_statements_note_of_an_account_becomes_one_page(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given events of two accounts, by three statements
    await note(services, happened(1, 1), happened(2, 2), happened(1, 3))
    await note(services, happened(2, 4))
    await note(services, happened(1, 5))
    # Then nothing is numbered until somebody asks
    assert await owner.fetchval("SELECT sum(last_sequence) FROM event_heads") == 0
    noted = await owner.fetch("SELECT message_id FROM all_events WHERE sequence IS NULL")
    assert {row["message_id"].int for row in noted} == {1, 2, 3, 4, 5}
    # When somebody does, Then each account has a page, and no note is left
    assert await told(services, 1) == [1, 3, 5]
    assert await told(services, 2) == [2, 4]
    assert await pages(owner, 1) == [(3, 3)]
    assert await pages(owner, 2) == [(2, 2)]
    assert await owner.fetchval("SELECT count(*) FROM event_notes") == 0
    # And what happens later goes on from there
    await note(services, happened(1, 6))
    assert await told(services, 1) == [1, 3, 5, 6]
    assert await pages(owner, 1) == [(3, 3), (4, 1)]


@pytest.mark.usefixtures("accounts")
async def test_each_event_of_a_page_has_the_time_at_which_it_happened(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    times = []
    for number in (1, 2):
        async with services.acquire() as opened, opened.transaction():
            times.append(await opened.fetchval("SELECT now()"))
            await events.append(opened, [happened(1, number)])
    async with services.acquire() as opened:
        found = await events.after(opened, 1, 0, 10)
        assert [each.created_at for each in found] == times
        assert [each.created_at for each in await events.at(opened, 1, [2])] == times[1:]
    # And the page is as old as its last event, by which the retention knows it
    assert await owner.fetchval("SELECT created_at FROM event_pages") == times[1]


@pytest.mark.usefixtures("accounts")
async def test_a_page_of_an_account_that_is_busy_has_an_end(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    await note(services, *(happened(1, number) for number in range(1, 700)), happened(2, 700))
    await note(services, *(happened(1, number) for number in range(701, 1_102)))
    expected = [number for number in range(1, 1_102) if number != 700]
    assert await told(services, 1) == expected
    assert await pages(owner, 1) == [(500, 500), (1_000, 500), (1_100, 100)]
    async with services.acquire() as opened:
        found = await events.after(opened, 1, 499, 2)
    assert [(each.sequence, each.subject_id.int) for each in found] == [(500, 500), (501, 501)]


@pytest.mark.usefixtures("accounts")
async def test_a_backlog_is_numbered_the_oldest_first_a_part_at_a_time(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    for number in range(1, 8):
        await note(services, happened(1, number), happened(1, number + 100))
    # When three are to be numbered, Then it is they and the rest of their notes
    for numbered_count, left_count in ((4, 5), (4, 3), (4, 1), (2, 0), (0, 0)):
        assert await owner.fetchval("SELECT number_events(3)") == numbered_count
        assert await owner.fetchval("SELECT count(*) FROM event_notes") == left_count
    in_order = [each for number in range(1, 8) for each in (number, number + 100)]
    assert await told(services, 1) == in_order


@pytest.mark.usefixtures("accounts")
async def test_whoever_asks_hears_of_more_than_is_numbered_at_a_time(
    services: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a backlog of several times as much, as at thousands of messages a second
    monkeypatch.setattr(events, "NUMBER_COUNT", 3)
    for number in range(1, 12):
        await note(services, happened(1, number))
    # When a producer reads once, Then nothing is missing
    assert await told(services, 1) == [*range(1, 12)]
    # And one who asks does so much for the others, and no more
    monkeypatch.setattr(events, "NUMBER_CALL_COUNT", 2)
    for number in range(12, 20):
        await note(services, happened(1, number))
    assert await told(services, 1) == [*range(1, 18)]
    assert await told(services, 1) == [*range(1, 20)]


@pytest.mark.usefixtures("accounts")
async def test_whoever_asks_hears_of_all_that_was_committed_also_while_another_numbers_it(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given somebody who is numbering an event, and one that happens meanwhile
    await note(services, happened(1, 1))
    async with services.acquire() as first:
        numbering = first.transaction()
        await numbering.start()
        await events.number(first)
        await note(services, happened(1, 2))
        # When a producer reads, Then it waits for the first, and is told of both
        reading = asyncio.create_task(told(services, 1))
        await asyncio.sleep(0.2)
        assert not reading.done()
        await numbering.commit()
        assert await asyncio.wait_for(reading, 10) == [1, 2]
    # And what dies before its commit has numbered nothing
    await note(services, happened(1, 3))
    async with services.acquire() as dying:
        numbering = dying.transaction()
        await numbering.start()
        await events.number(dying)
        await numbering.rollback()
    assert await owner.fetchval("SELECT last_sequence FROM event_heads WHERE account_id = 1") == 2
    assert await told(services, 1) == [1, 2, 3]


@pytest.mark.usefixtures("accounts")
async def test_eight_who_number_beside_those_who_note_leave_no_gap(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    async def write(share: int) -> None:
        for number in range(1, 51):
            await note(services, happened(1 + number % 2, share * 1_000 + number))

    async def read(done: asyncio.Event) -> None:
        seen = 0
        while not done.is_set():
            async with services.acquire() as opened:
                found = await events.after(opened, 1, seen, 100_000)
            assert [each.sequence for each in found] == [*range(seen + 1, seen + len(found) + 1)]
            seen += len(found)

    done = asyncio.Event()
    readers = [asyncio.create_task(read(done)) for _ in range(4)]
    await asyncio.gather(*(write(share) for share in range(4)))
    done.set()
    await asyncio.gather(*readers)
    for account_id in (1, 2):
        ids = await told(services, account_id)
        assert len(set(ids)) == len(ids) == 100
        # And each who notes finds his own in his order
        for share in range(4):
            own = [each for each in ids if each // 1_000 == share]
            assert own == sorted(own)
    assert {each.check.name for each in await audit.examine(owner) if each.is_breach} == set()


@pytest.mark.usefixtures("accounts")
async def test_dlr_numbers_what_nobody_asks_for(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    await note(services, *(happened(1, number) for number in range(1, 500)))
    await note(services, happened(2, 1))
    numbering = asyncio.create_task(event_numbers.run(services))
    async with asyncio.timeout(10):
        while await owner.fetchval("SELECT count(*) FROM event_notes"):
            await asyncio.sleep(0.02)
    await lifecycle.end(numbering)
    async with services.acquire() as opened:
        found = await heads.of(opened, [1, 2])
    assert (found[1].events, found[2].events) == (499, 1)
