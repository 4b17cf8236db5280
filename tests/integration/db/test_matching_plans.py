"""Receipts find their segments by index, however many segments there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from shared.db import matching, pool
from shared.db.connection import Connection

CLUES = [matching.Clue(1, "7", ["33612345678", "33700000001"], datetime.now(UTC), 4660)]


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Connection]:
    """A connection as services plan with it."""
    opened = await pool.open_pool(database_url, "test", 1)
    try:
        async with opened.acquire() as connection:
            yield connection
    finally:
        await pool.close_pool(opened)


async def plan(service: Connection, sql: str, *arguments: object) -> str:
    rows = await service.fetch(f"EXPLAIN (COSTS OFF) {sql}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_an_id_is_looked_up_by_index(service: Connection) -> None:
    found = await plan(
        service,
        matching._BY_ID,
        [1],
        ["7"],
        [datetime.now(UTC)],
        matching.SKEW_SECONDS,
    )

    assert "Index Scan using segments_by_carrier_message" in found
    assert "Index Scan using messages_pkey" in found
    assert "Seq Scan" not in found


async def test_segments_without_an_id_are_looked_up_by_their_phone_and_time(
    service: Connection,
) -> None:
    found = await plan(
        service,
        matching._NAMELESS,
        CLUES,
        matching.SKEW_SECONDS,
        matching.NAMELESS_COUNT_MAX,
    )

    assert "Index Scan Backward using segments_nameless" in found
    assert 'Index Cond: ((carrier_id = t.carrier_id) AND ("right"(recipient, 7) =' in found
    assert "Sort" not in found
    assert "Seq Scan" not in found


async def test_rivals_are_looked_up_among_the_unmatched_and_the_unanswered_only(
    service: Connection,
) -> None:
    found = await plan(service, matching._RIVALS, CLUES, matching.SKEW_SECONDS)

    assert "using receipts_claiming" in found
    assert "on submits u" in found
    assert "on segments" not in found


async def test_segments_of_the_ordinary_way_are_not_in_the_index_of_the_nameless(
    service: Connection,
) -> None:
    predicate = await service.fetchval(
        "SELECT pg_get_expr(indpred, indrelid) FROM pg_index "
        "WHERE indexrelid = 'segments_nameless'::regclass"
    )

    assert predicate == "(recipient IS NOT NULL)"
