"""Books and kinds are written once, and the database, the ledger and the audit know no others."""

from __future__ import annotations

import re

import asyncpg
import pytest

from shared.db import ledger
from shared.ledger.transfers import ROADS, Book, Kind
from tests.integration.audit import books

_MOVED = """
SELECT DISTINCT t.kind, f.book AS source, d.book AS target FROM transfers t
JOIN wallets f ON f.wallet_id = t.from_wallet_id JOIN wallets d ON d.wallet_id = t.to_wallet_id"""


@pytest.fixture
def connection(owner: asyncpg.Connection) -> asyncpg.Connection:
    """A migrated database in which nothing is."""
    return owner


async def test_the_database_knows_the_same_books_and_kinds(connection: asyncpg.Connection) -> None:
    # Given the constraints of the schema
    for table, column, words in (("wallets", "book", Book), ("transfers", "kind", Kind)):
        said = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'c' AND conrelid = $1::regclass AND conname = $2",
            table,
            f"{table}_{column}_check",
        )
        # Then they list the words of shared/ledger
        assert re.findall(r"'(\w+)'", said) == [word.value for word in words]


async def test_every_kind_of_movement_takes_its_road(connection: asyncpg.Connection) -> None:
    # Given a platform on which money was put in, spent and given back
    await books.write(connection)
    # Then each kind has moved between its two books, and nothing else was moved
    rows = await connection.fetch(_MOVED)
    moved = {(row["kind"], (row["source"], row["target"])) for row in rows}
    assert moved == {(kind.value, road) for kind, road in ROADS.items()}


async def test_a_segment_is_refunded_once_however_often_it_is_asked_for(
    connection: asyncpg.Connection,
) -> None:
    # Given a segment that was paid for, and the balance after that
    written = await books.write(connection)
    before, _ = await ledger.balance(connection, 1)
    # When it is refunded twice, and once more beside another
    for parts in ((1,), (1,), (1, 2)):
        await ledger.refund(connection, [(written.queued, part, "failed") for part in parts])
    # Then each was given back once
    after, _ = await ledger.balance(connection, 1)
    assert after == before + 2 * books.PRICE_MICRO
