"""A commit whose answer is lost: PostgreSQL has it, the worker does not know, and lives on."""

from __future__ import annotations

import asyncio

import pytest

from tests import fleet
from tests.chaos import arena, books, database, gate, load, scenario
from tests.chaos.arena import Arena

SWALLOWED_COUNT = 5
MESSAGE_COUNT = 300
CLAIM, RECORD = b"DELETE FROM work w", b"DELETE FROM submits WHERE"


@pytest.mark.parametrize(
    ("account", "words", "end"),
    [("claims", CLAIM, gate.COMMITTED), ("records", RECORD, gate.SELECTED)],
    ids=["intent", "result"],
)
async def test_nothing_is_stuck_or_doubled_when_a_dispatcher_does_not_hear_its_commits(
    battered: Arena, account: str, words: bytes, end: bytes
) -> None:
    # Given one dispatcher, behind a gate that swallows the answers to some commits.
    battered.apply(fleet.account(account, sender=account))
    token = battered.fleet.token(account)
    url = battered.fleet.environment["SLUICE_API_URL"]
    for name in arena.DISPATCHERS:
        await asyncio.to_thread(battered.fleet.stop, name)
    async with (
        gate.gate(battered.servers.urls["SLUICE_DATABASE_URL"], words, end, SWALLOWED_COUNT) as way,
        load.Client(url, token, scenario.seeded(account), {account: 1}, 340_000) as client,
    ):
        battered.fleet.start("dispatcher", "gated", SLUICE_DATABASE_URL=way.url)
        try:
            await battered.fleet.ready("gated")
            # When messages are sent.
            for _ in range(MESSAGE_COUNT):
                client.ask([client.wish()])
                await asyncio.sleep(0.005)
            await client.answered()
            await scenario.rest(battered, account)
        finally:
            assert await asyncio.to_thread(battered.fleet.retire, "gated") == 0
    # Then all came to their end while the dispatcher lived, once, and without a doubt.
    stored = await database.book(battered.servers.database_url, account)
    verdict = books.compare(client.book, stored, battered.journal([account]), {})
    print(f"{account}: {way.swallowed_count} answers swallowed; {verdict}")
    assert way.swallowed_count == SWALLOWED_COUNT
    assert verdict.faults == {}
    assert verdict.acknowledged_count == MESSAGE_COUNT
    assert verdict.in_doubt_count == verdict.unreported_count == 0
    assert await battered.audit_ok()
