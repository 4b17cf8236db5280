"""What the benchmark makes up is as Sluice would have stored it: the audit finds nothing wrong."""

from __future__ import annotations

import asyncpg
import pytest

from shared.db import apply, audit
from tests.bench.growth import population

_SENT_COUNT = 240
_READY_COUNT = 30
_CONFIGURATION: tuple[apply.Row, ...] = (
    apply.Carrier("practice", "smpp", 0, {}),
    apply.Price("FR", "EUR", 45_300),
    *(
        row
        for name in ("one", "two", "three")
        for row in (
            apply.Account(name, "EUR", 1000, 60),
            apply.Line(name, "Sluice", "alphanumeric", "FR", True, 100, 1000, 10_000),
            apply.Line(name, "Other", "alphanumeric", "FR", False, 100, 1000, 10_000),
            apply.Credit(name, "EUR", 100_000_000),
        )
    ),
)


@pytest.fixture
async def database(owner: asyncpg.Connection) -> asyncpg.Connection:
    """A platform of three accounts with two lines each."""
    for row in _CONFIGURATION:
        async with owner.transaction():
            await apply.put(owner, row, None)
    return owner


async def test_every_book_agrees_when_messages_are_made_up(
    database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that a chunk ends in the midst of an account's turn
    monkeypatch.setattr(population, "CHUNK_COUNT", 100)

    # When messages are sent, and more are made ready
    steps = [done async for done in population.send(database, _SENT_COUNT)]
    assert steps == [100, 200, 240]
    await population.queue(database, _READY_COUNT)

    # Then the audit looks at all of them and finds nothing
    found = await audit.examine(database)
    assert {finding.check.name: finding.rows for finding in found if finding.rows} == {}
    examined = {finding.check.name: finding.examined_count for finding in found}
    assert examined["debits"] == _SENT_COUNT + _READY_COUNT
    assert examined["work"] == _READY_COUNT

    # And every line of every account has its share
    shares = await database.fetch("SELECT count(*) FROM messages GROUP BY account_id, line_id")
    assert [row["count"] for row in shares] == [45] * 6
