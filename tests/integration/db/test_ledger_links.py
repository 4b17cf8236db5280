"""Days that have ended are chained, and whatever is touched afterwards is named."""

from __future__ import annotations

from datetime import UTC, date, datetime

import asyncpg
import pytest

from shared.db import ledger_links
from tests.integration.audit import books
from tests.integration.commands.sluice import Command

PER_DAY = 7


@pytest.fixture
async def chained(owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> asyncpg.Connection:
    """Transfers of three days, one of them without any, in links of at most five."""
    monkeypatch.setattr(ledger_links, "PAGE_COUNT", 5)
    await books.write(owner)
    await owner.execute("ALTER TABLE transfers DISABLE TRIGGER transfers_are_immutable")
    await owner.execute(
        "UPDATE transfers SET created_at = timestamptz '2026-03-01 10:00Z'"
        " + CASE WHEN transfer_id > $1 THEN interval '2 days' ELSE interval '0' END",
        PER_DAY,
    )
    await close_all(owner)
    return owner


async def close_all(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        while await ledger_links.close_next(connection):
            pass


async def test_each_day_that_has_ended_is_closed_by_links(chained: asyncpg.Connection) -> None:
    # Given seven transfers of the first of March, ten of the third
    rows = await chained.fetch("SELECT day, transfer_count FROM ledger_links ORDER BY link")
    # Then every day since has its links, also those in which nothing was moved
    assert [tuple(row) for row in rows[:6]] == [
        (date(2026, 3, 1), 5),
        (date(2026, 3, 1), 2),
        (date(2026, 3, 2), 0),
        (date(2026, 3, 3), 5),
        (date(2026, 3, 3), 5),
        (date(2026, 3, 4), 0),
    ]
    assert rows[-1]["day"] < datetime.now(UTC).date()
    # And they fit
    found = await ledger_links.verify(chained)
    assert (found.broken, found.transfer_count) == (None, 17)
    assert found.link_count == len(rows)
    # When another process tries at the same time, or again, Then nothing is closed twice
    await close_all(chained)
    assert await chained.fetchval("SELECT count(*) FROM ledger_links") == len(rows)


@pytest.mark.parametrize(
    ("statement", "transfer_id", "fault"),
    [
        (
            "UPDATE transfers SET amount_micro = amount_micro + 1 WHERE transfer_id = 9",
            9,
            "changed",
        ),
        ("UPDATE transfers SET reason = 'a gift' WHERE transfer_id = 1", 1, "changed"),
        ("UPDATE transfers SET to_wallet_id = 8 WHERE transfer_id = 7", 7, "changed"),
        ("UPDATE transfers SET created_at = now() WHERE transfer_id = 12", 12, "changed"),
        ("DELETE FROM transfers WHERE transfer_id = 4", 5, "before this one was taken out"),
        ("DELETE FROM transfers WHERE transfer_id = 17", 16, "after this one was taken out"),
        (
            "DELETE FROM transfers WHERE transfer_id = 3;"
            "UPDATE transfers SET amount_micro = 1 WHERE transfer_id = 11",
            4,
            "taken out",
        ),
        (
            "UPDATE transfers SET transfer_id = DEFAULT WHERE transfer_id = 2;"
            "INSERT INTO transfers (transfer_id, from_wallet_id, to_wallet_id, amount_micro, kind,"
            " reason) OVERRIDING SYSTEM VALUE VALUES (2, 1, 2, 5, 'credit', 'theft')",
            2,
            "changed",
        ),
    ],
)
async def test_the_first_transfer_that_was_touched_is_named(
    chained: asyncpg.Connection, statement: str, transfer_id: int, fault: str
) -> None:
    # When somebody with all rights touches a transfer of a closed day
    await chained.execute(statement)
    # Then it is named
    found = await ledger_links.verify(chained)
    assert found.broken is not None
    assert found.broken.transfer_id == transfer_id
    assert fault in found.broken.fault


async def test_a_chain_that_was_touched_itself_is_found_out(chained: asyncpg.Connection) -> None:
    await chained.execute("ALTER TABLE ledger_links DISABLE TRIGGER ledger_links_are_immutable")
    for statement, fault in (
        ("UPDATE ledger_links SET sha256 = sha256(sha256) WHERE link = 4", "itself was changed"),
        ("DELETE FROM ledger_links WHERE link = 2", "a link is missing"),
    ):
        begun = chained.transaction()
        await begun.start()
        await chained.execute(statement)
        found = await ledger_links.verify(chained)
        assert found.broken is not None
        assert fault in found.broken.fault
        await begun.rollback()


async def test_the_command_names_the_row_and_knows_a_chain_that_was_written_anew(
    chained: asyncpg.Connection, services_url: str
) -> None:
    command = Command({"SLUICE_DATABASE_URL": services_url})
    # Given a head that was kept elsewhere
    head = (await command("ledger", "head")).output.split()[0]
    ended = await command("ledger", "verify", "--expect", head)
    assert (ended.code, "17 transfers fit" in ended.output) == (0, True)
    # When a transfer is changed, Then it is named
    await chained.execute("UPDATE transfers SET amount_micro = 1 WHERE transfer_id = 9")
    ended = await command("ledger", "verify")
    assert ended.code == 1
    assert "transfer 9, link 4 of 2026-03-03: this transfer was changed" in ended.output
    # When the whole chain is made anew, Then it fits, but not the head that was kept
    await chained.execute("ALTER TABLE ledger_links DISABLE TRIGGER ledger_links_are_immutable")
    await chained.execute("DELETE FROM ledger_links")
    await close_all(chained)
    assert (await command("ledger", "verify")).code == 0
    ended = await command("ledger", "verify", "--expect", head)
    assert (ended.code, "written anew" in ended.output) == (1, True)
