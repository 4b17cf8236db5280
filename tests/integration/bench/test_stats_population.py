"""What `./test bench stats` makes up is counted as it is stored: counting anew gives the same."""

from __future__ import annotations

import asyncpg
import pytest

from shared.db import audit
from tests.bench.stats import population

COUNT = 3_000


async def test_made_up_messages_are_counted_by_the_products_own_triggers(
    owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that chunks end in the midst
    monkeypatch.setattr(population, "CHUNK_COUNT", 1_000)
    # When messages of three months are stored
    assert [done async for done in population.store(owner, COUNT)] == [1_000, 2_000, 3_000]
    # Then all are counted, and the audit's counting anew agrees
    assert await owner.fetchval("SELECT sum(message_count)::int FROM statistics") == COUNT
    found = {each.check.name: each.rows for each in await audit.examine(owner)}
    assert (found["statistics"], found["refunded_counts"]) == ((), ())
