"""Statistics are what counting anew gives, at any moment, however far the adding up has come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shared.db import audit, message_statistics
from shared.db.connection import Connection
from shared.db.message_statistics import StatisticsQuestion, StatisticsRow
from tests.integration.audit import books


def three_months(*groups: str, **members: object) -> StatisticsQuestion:
    today = datetime.now(UTC).date()
    return StatisticsQuestion(today - timedelta(days=80), today, groups=groups, **members)  # type: ignore[arg-type] # members of a question


async def breaches(connection: Connection) -> list[str]:
    """The names of the checks of the audit that found anything."""
    return [each.check.name for each in await audit.examine(connection) if each.breach_count]


async def told(connection: Connection, *groups: str, **members: object) -> list[StatisticsRow]:
    return await message_statistics.read(connection, 1, three_months(*groups, **members))


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
    assert "statistics" not in await breaches(owner)
