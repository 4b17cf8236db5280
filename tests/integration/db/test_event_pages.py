"""Events in rows of their own, as the first release reads them, and in pages from its end on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from shared.db import audit, events, messages, migrate, schema, segments
from shared.db.connection import Connection
from shared.sms.states import SegmentState
from tests import claims
from tests.drafts import draft

WORKER = UUID(int=1)
PRICE_MICRO = 1_000
WAITING = (14, 41, 47)
"""The contract from which on there are pages, one that drops an index that came with those, and the
one from which on events are numbered later."""

_ACCOUNTS = """
INSERT INTO accounts (name, currency) VALUES ('shop', 'EUR'), ('other', 'EUR');
INSERT INTO wallets (account_id, book, currency, balance_micro)
SELECT account_id, 'customer', 'EUR', 1000000 FROM accounts;
INSERT INTO event_heads (account_id) SELECT account_id FROM accounts"""


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """To be migrated step by step."""
    return empty_database_url


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The schema's owner, while processes of the release before are still there: two accounts."""
    async with connected(database_url) as opened:
        await migrate.migrate(opened, [each for each in schema.known() if not each.serves_from])
        await opened.execute(_ACCOUNTS)
        yield opened


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def accept(services: asyncpg.Pool, *account_ids: int) -> list[UUID]:
    """A message of each of these accounts, on its way to a carrier."""
    async with services.acquire() as opened, opened.transaction():
        wallet_ids = {
            row["account_id"]: row["wallet_id"]
            for row in await opened.fetch("SELECT account_id, wallet_id FROM wallets")
        }
        revenue_id = await opened.fetchval(
            "SELECT wallet_id FROM wallets WHERE book = 'revenue' AND currency = 'EUR'"
        )
        accepted = [
            draft(
                wallet_ids[account_id],
                revenue_id,
                PRICE_MICRO,
                account_id=account_id,
                reference=f"order {place}" if place % 2 else None,
            )
            for place, account_id in enumerate(account_ids)
        ]
        await messages.insert(opened, accepted)
        message_ids = [each.message_id for each in accepted]
        await claims.claim(opened, message_ids, WORKER)
    return message_ids


async def happen(services: asyncpg.Pool, message_ids: Sequence[UUID], state: SegmentState) -> None:
    """Let messages come to a state, all by one statement."""
    async with services.acquire() as opened:
        await settle(opened, message_ids, state)


async def settle(connection: Connection, message_ids: Sequence[UUID], state: SegmentState) -> None:
    said = [segments.Evidence(each, 1, state, accepted=True, alone=True) for each in message_ids]
    assert await segments.settle(connection, said) == len(message_ids)


async def layout(owner: asyncpg.Connection, account_id: int) -> tuple[list[int], list[int]]:
    """Numbers of an account's rows, and the last ones of its pages, once all is numbered."""
    await events.number(owner)
    rows = await owner.fetch(
        "SELECT sequence FROM events WHERE account_id = $1 ORDER BY sequence", account_id
    )
    pages = await owner.fetch(
        "SELECT last_sequence FROM event_pages WHERE account_id = $1 ORDER BY last_sequence",
        account_id,
    )
    return [row[0] for row in rows], [row[0] for row in pages]


async def told(
    services: asyncpg.Pool, account_id: int, sequence: int = 0, limit: int = 100
) -> list[tuple[int, UUID, str, str | None]]:
    """What a producer reads after a cursor."""
    async with services.acquire() as opened:
        found = await events.after(opened, account_id, sequence, limit)
    return [(each.sequence, each.subject_id, each.status, each.reference) for each in found]


async def breaches(owner: asyncpg.Connection) -> set[str]:
    """Names of the checks of events that find something."""
    found = await audit.examine(owner)
    return {each.check.name for each in found if each.rows} & {"event_numbers", "last_events"}


async def test_numbers_go_on_when_the_last_old_process_has_gone(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given messages of two accounts, and what happened while old processes may read it
    message_ids = await accept(services, 1, 1, 2, 1)
    of_shop = [message_ids[0], message_ids[1], message_ids[3]]
    await happen(services, message_ids, SegmentState.SUBMITTED)
    assert await layout(owner, 1) == ([1, 2, 3], [])
    assert await layout(owner, 2) == ([1], [])
    # When they have gone, and more happens
    await migrate.migrate(owner)
    await happen(services, message_ids, SegmentState.UNDELIVERED)
    await happen(services, of_shop[:1], SegmentState.DELIVERED)
    # Then that is written in a page an account
    assert await layout(owner, 1) == ([1, 2, 3], [7])
    assert await layout(owner, 2) == ([1], [2])
    # And producers read all of it in order
    references = [None, "order 1", "order 3"]
    assert await told(services, 1) == [
        *zip((1, 2, 3), of_shop, ["submitted"] * 3, references, strict=True),
        *zip((4, 5, 6), of_shop, ["undelivered"] * 3, references, strict=True),
        (7, of_shop[0], "delivered", None),
    ]
    assert await told(services, 2) == [
        (1, message_ids[2], "submitted", None),
        (2, message_ids[2], "undelivered", None),
    ]
    assert await breaches(owner) == set()


async def test_what_happens_to_other_things_is_numbered_among_the_messages(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given an opt-out that is made and ended, and an inbound message of another account, before and
    # after the last old process has gone
    opt_out_id, inbound_id = UUID(int=2), UUID(int=1)
    new = [
        events.NewEvent(2, "inbound.received", inbound_id),
        events.NewEvent(1, "opt_out.created", opt_out_id, "phone", "order 1"),
        events.NewEvent(1, "opt_out.deleted", opt_out_id),
    ]
    for last, of_shop in ((3, ([1, 2, 3], [])), (6, ([1, 2, 3], [6]))):
        async with services.acquire() as opened, opened.transaction():
            await events.append(opened, new)
        await happen(services, await accept(services, 1), SegmentState.SUBMITTED)
        # Then they are where the messages' are, in the order given
        assert await layout(owner, 1) == of_shop
        async with services.acquire() as opened:
            found = await events.after(opened, 1, last - 3, 100)
        assert [(each.sequence, each.type, each.status) for each in found] == [
            (last - 2, "opt_out.created", ""),
            (last - 1, "opt_out.deleted", ""),
            (last, "message.submitted", "submitted"),
        ]
        assert [each.subject_id for each in found[:2]] == [opt_out_id, opt_out_id]
        assert [(each.reason, each.reference) for each in found[:2]] == [
            ("phone", "order 1"),
            ("", None),
        ]
        await migrate.migrate(owner)
    async with services.acquire() as opened:
        assert [each.sequence for each in await events.at(opened, 2, [1, 2])] == [1, 2]
        assert {each.type for each in await events.at(opened, 2, [1, 2])} == {"inbound.received"}
    # And they are no fault of any message
    assert await breaches(owner) == set()


async def test_every_cursor_and_limit_gives_what_follows(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given three rows, a page of three, one of one, and one of two
    message_ids = await accept(services, 1, 1, 1)
    await happen(services, message_ids, SegmentState.SUBMITTED)
    await migrate.migrate(owner)
    for some, state in (
        (message_ids, SegmentState.UNDELIVERED),
        (message_ids[:1], SegmentState.DELIVERED),
        (message_ids[1:], SegmentState.DELIVERED),
    ):
        await happen(services, some, state)
        await events.number(owner)
    everything = await told(services, 1)
    assert [each[0] for each in everything] == [*range(1, 10)]
    # Then from wherever one reads, and however much at once, nothing is missed or told twice
    for cursor in range(11):
        for limit in range(1, 11):
            assert await told(services, 1, cursor, limit) == everything[cursor : cursor + limit]
    # When the first ones have gone for their age, Then an old cursor goes on with what is left
    await owner.execute("DELETE FROM events; DELETE FROM event_pages WHERE last_sequence = 6")
    assert await told(services, 1, 0, 2) == everything[6:8]
    assert await told(services, 1, 2) == everything[6:]


async def test_what_an_old_process_writes_keeps_its_place_when_the_last_one_has_gone(
    owner: asyncpg.Connection, services: asyncpg.Pool, database_url: str
) -> None:
    # Given a schema that waits for the contracts of events
    await migrate.migrate(owner, [each for each in schema.known() if each.number not in WAITING])
    # And a process of the first release that has numbered an event, and not committed it yet
    message_ids = await accept(services, 1, 1)
    async with connected(database_url) as old, connected(database_url) as migrator:
        writing = old.transaction()
        await writing.start()
        await old.execute("UPDATE event_heads SET last_sequence = 1 WHERE account_id = 1")
        await old.execute(
            "INSERT INTO events (account_id, sequence, message_id, status, reason)"
            " VALUES (1, 1, $1, 'submitted', '')",
            message_ids[0],
        )
        await old.execute(
            "UPDATE messages SET status = 'submitted' WHERE message_id = $1", message_ids[0]
        )
        # When another event of the account comes, and the contracts
        late = asyncio.create_task(happen(services, message_ids[1:], SegmentState.SUBMITTED))
        await waiting(owner, 1)
        migrating = asyncio.create_task(migrate.migrate(migrator))
        await waiting(owner, 2)
        await writing.commit()
        await asyncio.gather(late, migrating)
    # Then who began first is first in the log, and what was begun as a row has become one
    await happen(services, message_ids[1:], SegmentState.DELIVERED)
    assert await layout(owner, 1) == ([1, 2], [3])
    assert [each[1] for each in await told(services, 1)] == [*message_ids, message_ids[1]]
    assert await breaches(owner) == set()


async def waiting(owner: asyncpg.Connection, count: int) -> None:
    """Return once so many connections to this database wait for a lock."""
    async with asyncio.timeout(10):
        while count > await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)


async def test_a_producer_that_is_far_behind_costs_what_it_is_given(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given two thousand pages of ten events, of which nothing is known to the planner
    await migrate.migrate(owner)
    await owner.execute(
        "INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs)"
        " SELECT 1, n * 10, array_fill(gen_random_uuid(), ARRAY[10]),"
        " array_fill('delivered'::text, ARRAY[10]), array_fill(''::text, ARRAY[10]),"
        " array_fill(NULL::text, ARRAY[10]) FROM generate_series(1, 2000) n"
    )
    for cursor, limit, page_count in ((0, 100, 10), (5, 100, 11), (19_995, 100, 1), (20_000, 1, 0)):
        async with services.acquire() as opened, opened.transaction():
            before = await looked_at(opened)
            found = await events.numbered_after(opened, 1, cursor, limit)
            after = await looked_at(opened)
        assert len(found) == min(limit, 20_000 - cursor)
        # Then only those pages are read that hold what is given, and two looks tell which
        assert after - before <= page_count + 2


async def looked_at(connection: Connection) -> int:
    """Pages of events that this connection's transaction has read so far."""
    return int(
        await connection.fetchval(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
            " WHERE relname = 'event_pages'"
        )
    )
