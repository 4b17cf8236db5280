"""Intents as the release before wrote them, on the schema of this one: into the segment itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from shared.db import messages, migrate, schema, segments, submits
from shared.runtime import ids
from shared.sms.states import SegmentState
from tests import claims
from tests.drafts import draft

_OLD_CODE = 8
OLD = UUID(int=1)
NEW = UUID(int=2)

# What its accept left behind, as far as a claim has to do with it.
_ACCEPT_OF_OLD = """
WITH message AS (
    INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
        country, body, encoding, segment_count, class, at_least_once, segment_price_micro, currency,
        status, created_at, expires_at, updated_at)
    VALUES ($1, 1, 1, 1, 1, 'Sluice', '+33612345678', 'FR', 'x', 'gsm7', 1, 1, false, 1000, 'EUR',
        'queued', now(), now() + interval '1 hour', now())
)
INSERT INTO segments (message_id, part, state, carrier_id) VALUES ($1, 1, 'queued', 1)"""
# As the claim of 0.1.0 did it, once it had deleted the row of work.
_CLAIM_OF_OLD = """
UPDATE segments SET state = 'submitting', worker_id = $2, submitted_at = now(),
    attempt_count = attempt_count + 1
WHERE message_id = $1 AND state = 'queued' RETURNING part"""
# And its record.
_RECORD_OF_OLD = """
UPDATE segments SET state = 'submitted', accepted_at = now(), carrier_message_id = 'a'
WHERE message_id = $1"""


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """To be migrated step by step."""
    return empty_database_url


@pytest.fixture
async def before(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The schema of the release before, as its owner."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        await migrate.migrate(connection, schema.known()[:_OLD_CODE])
        await connection.execute(
            "INSERT INTO accounts (name, currency) VALUES ('shop', 'EUR');"
            "INSERT INTO wallets (account_id, book, currency, balance_micro)"
            " VALUES (1, 'customer', 'EUR', 1000000);"
            "INSERT INTO event_heads (account_id) VALUES (1)"
        )
        yield connection
    finally:
        await connection.close(timeout=10)


async def accept(connection: asyncpg.Connection) -> UUID:
    """A message that was accepted and waits."""
    wallet_id = await connection.fetchval("SELECT wallet_id FROM wallets WHERE account_id = 1")
    revenue_id = await connection.fetchval("SELECT min(wallet_id) FROM wallets")
    accepted = draft(wallet_id, revenue_id, 1_000)
    await messages.insert(connection, [accepted])
    return accepted.message_id


async def accept_as_old(connection: asyncpg.Connection) -> UUID:
    """A message that a process of the release before has accepted, and taken to be submitted."""
    message_id = ids.uuid7()
    await connection.execute(_ACCEPT_OF_OLD, message_id)
    return message_id


async def expand(connection: asyncpg.Connection) -> None:
    """As far as it goes while processes of the release before are alive."""
    expands = [each for each in schema.known() if not each.serves_from or each.number <= _OLD_CODE]
    await migrate.migrate(connection, expands)


async def standing(connection: asyncpg.Connection, message_id: UUID) -> list[str]:
    return [each.state for each in await messages.parts(connection, message_id)]


async def recorded(connection: asyncpg.Connection, message_id: UUID) -> tuple[str, int]:
    """(state, attempts) once an answer that accepts it has been recorded."""
    proof = segments.Evidence(
        message_id, 1, SegmentState.SUBMITTED, accepted=True, carrier_message_id="a"
    )
    async with connection.transaction():
        await segments.settle(connection, [proof])
    row = await connection.fetchrow(
        "SELECT state, attempt_count FROM segments WHERE message_id = $1", message_id
    )
    assert row is not None
    return row["state"], row["attempt_count"]


async def test_what_is_being_submitted_at_the_migration_goes_on(
    before: asyncpg.Connection,
) -> None:
    # Given a segment that a process of the release before is submitting
    message_id = await accept_as_old(before)
    await before.fetch(_CLAIM_OF_OLD, message_id, OLD)
    # When the schema grows, and when what only that release needs is taken away
    await expand(before)
    assert await standing(before, message_id) == ["submitting"]
    await migrate.migrate(before)
    # Then it is still being submitted, and its answer ends that
    assert await standing(before, message_id) == ["submitting"]
    assert await recorded(before, message_id) == ("submitted", 1)
    assert await before.fetchval("SELECT count(*) FROM submits") == 0


async def test_what_is_recorded_while_the_schema_grows_is_not_under_way_afterwards(
    before: asyncpg.Connection, database_url: str
) -> None:
    # Given a submit of the release before, whose answer is being recorded
    message_id = await accept_as_old(before)
    await before.fetch(_CLAIM_OF_OLD, message_id, OLD)
    recorder = await asyncpg.connect(database_url, timeout=10)
    try:
        recording = recorder.transaction()
        await recording.start()
        await recorder.execute(_RECORD_OF_OLD, message_id)
        # When the schema grows meanwhile
        growing = asyncio.create_task(expand(before))
        await asyncio.sleep(0.3)
        await recording.commit()
        await growing
    finally:
        await recorder.close(timeout=10)
    # Then nothing is under way
    assert await standing(before, message_id) == ["submitted"]


async def test_a_row_of_a_submit_that_has_ended_moves_nothing_back(
    before: asyncpg.Connection,
) -> None:
    await migrate.migrate(before)
    # Given a segment that has ended, and a row that should not be there
    message_id = await accept(before)
    await before.execute(
        "INSERT INTO segments (message_id, part, state, carrier_id, submitted_at)"
        " VALUES ($1, 1, 'delivered', 1, now())",
        message_id,
    )
    await before.execute("INSERT INTO submits VALUES ($1, 1, $2, now())", message_id, OLD)
    # When a sweep takes its worker for dead
    async with before.transaction():
        found = await submits.abandoned(before, -1, 10)
        await segments.settle_all(before, found, SegmentState.IN_DOUBT)
    # Then the row goes, and nothing else
    assert await standing(before, message_id) == ["delivered"]


async def test_an_intent_of_the_release_before_is_seen_and_ended_by_either(
    before: asyncpg.Connection,
) -> None:
    await expand(before)
    # Given two messages that an old dispatcher claims on the new schema
    first, second = await accept(before), await accept(before)
    for message_id in (first, second):
        await before.fetch(_CLAIM_OF_OLD, message_id, OLD)
    found = await before.fetch("SELECT message_id, worker_id FROM submits ORDER BY message_id")
    assert [tuple(row) for row in found] == [(first, OLD), (second, OLD)]
    # When it records one itself, and this release ends the other
    await before.execute(_RECORD_OF_OLD, first)
    assert await recorded(before, second) == ("submitted", 1)
    # Then nothing is under way any more
    assert await before.fetchval("SELECT count(*) FROM submits") == 0


async def test_the_release_before_submits_nothing_that_this_one_is_submitting(
    before: asyncpg.Connection,
) -> None:
    await expand(before)
    # Given a message that a dispatcher of this release has claimed
    message_id = await accept(before)
    live = await claims.claim(before, [message_id], NEW)
    assert [each.parts for each in live] == [[1]]
    # When one of the release before wants it, too
    taken = await before.fetch(_CLAIM_OF_OLD, message_id, OLD)
    # Then it gets nothing, and the intent stands as it was
    assert taken == []
    found = await submits.abandoned(before, -1, 10)
    assert [each.message_id for each in found] == [message_id]
    assert await before.fetchval("SELECT worker_id FROM submits") == NEW


async def test_a_segment_is_known_as_unsent_to_the_one_call_that_ended_its_submit(
    before: asyncpg.Connection,
) -> None:
    await migrate.migrate(before)
    # Given a claim, and the proof that nothing of it has left
    message_id = await accept(before)
    await claims.claim(before, [message_id], NEW)
    proof = segments.Evidence(message_id, 1, SegmentState.QUEUED)
    # When it is recorded twice
    async with before.transaction():
        first = await segments.settle_answers(before, [proof])
        second = await segments.settle_answers(before, [proof])
    # Then only the first has ended a submit, and it was no attempt
    assert [(each.part, each.state, each.by_this) for each in first.unsent] == [(1, "queued", True)]
    assert second.unsent == []
    assert await before.fetchval("SELECT attempt_count FROM segments") == 0
