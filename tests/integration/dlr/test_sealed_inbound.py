"""A11: what a phone sends to a line that keeps no texts is sealed until it is handed over."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from services.dispatcher.inbound import InboundDesk
from services.dlr import inbound
from shared.db import inbound as stored
from shared.db import pool, sealed_texts
from shared.sms.inbound import Alphabet, InboundPart
from tests.integration.dlr import phones
from tests.integration.dlr.phones import ALICE, BOB, OWN_LINE, PHONE, SHARED_LINE
from tests.keys import SEALS

SECRET = "Mon code est 471 123"
LONG = f"{SECRET}, et la suite est assez longue pour deux parties. " * 5
WAIT_SECONDS = 600.0
_SEARCH = "SELECT count(*) FROM {} t WHERE t::text LIKE '%' || $1 || '%'"


@pytest.fixture
async def database(owner: asyncpg.Connection, services: asyncpg.Pool) -> asyncpg.Pool:
    """Alice's own line is in API mode; Bob keeps no texts at all, and shares a number with her."""
    await phones.settle(owner)
    await owner.execute("UPDATE lines SET mode = 'api' WHERE sender = $1", OWN_LINE)
    await owner.execute("UPDATE accounts SET store_body = false WHERE name = 'bob'")
    return services


async def found_count(owner: asyncpg.Connection, word: str = SECRET) -> int:
    """Rows of all tables that hold the word, as text or as octets."""
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    count = 0
    for table in tables:
        for written in (word, word.encode().hex()):
            count += await owner.fetchval(_SEARCH.format(table["tablename"]), written)
    return count


async def readable(database: asyncpg.Pool, account_id: int) -> list[stored.StoredInbound]:
    """What the account has received, with what is still sealed of it."""
    found = await phones.received(database, account_id)
    async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
        return await stored.with_texts(opened, SEALS, found)


async def erase(database: asyncpg.Pool, *inbound_ids: UUID) -> None:
    async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
        await sealed_texts.erase(opened, inbound_ids)


async def test_a_message_is_sealed_until_it_is_handed_over(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # When a phone writes to a line in API mode
    await phones.deliver(database, *phones.parts(SECRET, 0))

    # Then the text is in no table, and who may read it can as long as it is sealed
    (message,) = await phones.received(database)
    assert (message.body, message.data, message.body_stored) == (None, None, False)
    assert await found_count(owner) == 0
    assert [each.body for each in await readable(database, ALICE)] == [SECRET]

    # When it is handed over, Then nobody can
    await erase(database, message.inbound_id)
    assert [each.body for each in await readable(database, ALICE)] == [None]
    assert await owner.fetchval("SELECT count(*) FROM sealed_texts") == 0


async def test_the_search_finds_a_text_that_is_kept(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    await owner.execute("UPDATE lines SET mode = 'application'")
    first, _ = phones.parts(LONG, 1)[:2]
    await phones.deliver(database, *phones.parts(SECRET, 0), first)

    assert await found_count(owner) == 2
    assert [each.body_stored for each in await phones.received(database)] == [True]


async def test_parts_wait_sealed_for_the_others(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given the first parts of a long text
    *first, last = phones.parts(LONG, 1)
    await phones.deliver(database, *first)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    assert await found_count(owner) == 0
    assert await owner.fetchval("SELECT count(*) FROM inbound_parts") == 1

    # When the last one comes, Then they are joined, and sealed again as a whole
    await phones.deliver(database, last)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    assert await found_count(owner) == 0
    assert await owner.fetchval("SELECT count(*) FROM inbound_parts") == 0
    assert [each.body for each in await readable(database, ALICE)] == [LONG]


async def test_octets_that_are_no_text_are_sealed_too(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    part = InboundPart(PHONE, OWN_LINE, Alphabet.BINARY, b"", SECRET.encode())

    await phones.deliver(database, part)

    assert await found_count(owner) == 0
    assert [each.data for each in await readable(database, ALICE)] == [SECRET.encode()]


async def test_each_account_of_a_shared_number_keeps_what_it_keeps(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given a number of Alice, who keeps texts there, and of Bob, who keeps none
    await phones.deliver(database, *phones.parts(SECRET, 0, recipient=SHARED_LINE))
    # Then what is nobody's is kept by nobody
    assert await found_count(owner) == 0

    # When the phone answers each of them, Then each finds what is its own
    await phones.sent(database, BOB, SHARED_LINE, PHONE)
    await phones.deliver(database, *phones.parts(f"{SECRET}, Bob", 0, recipient=SHARED_LINE))
    assert await found_count(owner) == 0
    await phones.sent(database, ALICE, SHARED_LINE, PHONE)
    await phones.deliver(database, *phones.parts(f"{SECRET}, Alice", 0, recipient=SHARED_LINE))
    assert await found_count(owner) == 1
    assert [each.body for each in await readable(database, BOB)] == [f"{SECRET}, Bob"]
    assert [each.body for each in await phones.received(database)] == [f"{SECRET}, Alice"]


async def test_a_repetition_is_known_though_nobody_can_guess_the_text_from_what_is_kept(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given a text that came, and comes again
    (part,) = phones.parts(SECRET, 0)
    await phones.deliver(database, part)
    await phones.deliver(database, part)
    assert len(await phones.received(database)) == 1

    # Then what tells the repetition is no plain hash of it
    seen = {row["fingerprint"] for row in await owner.fetch("SELECT fingerprint FROM inbound_seen")}
    assert seen == {SEALS.veiled(part.fingerprint(1))}

    # And it is forgotten as well once the carrier has heard the answer
    desk = InboundDesk(database, SEALS)
    desk._heard.append(part.fingerprint(1))
    await desk.forget_heard()
    await phones.deliver(database, part)
    assert len(await phones.received(database)) == 2


async def test_a_word_is_obeyed_where_no_text_is_kept(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    await phones.deliver(database, *phones.parts("STOP", 0))

    assert await owner.fetchval("SELECT count(*) FROM opt_outs WHERE recipient = $1", PHONE) == 1
    assert [each.body_stored for each in await phones.received(database)] == [False]


async def test_what_nobody_takes_is_erased_after_a_day(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given two messages, one of which has waited for a day
    await phones.deliver(database, *phones.parts(SECRET, 0))
    await phones.deliver(database, *phones.parts("another", 0))
    old, new = await phones.received(database)
    await owner.execute(
        "UPDATE sealed_texts SET until = until - interval '24 hours' WHERE subject_id = $1",
        old.inbound_id,
    )

    await sealed_texts.sweep(database, SEALS)

    found = [(each.inbound_id, each.body) for each in await readable(database, ALICE)]
    assert found == [(old.inbound_id, None), (new.inbound_id, "another")]
