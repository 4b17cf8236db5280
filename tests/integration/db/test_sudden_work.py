"""A backlog that comes all at once is taken by index, also by a process that has asked all day
while there was nothing: its plan is kept from then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.db import work

_KEPT_AFTER_COUNT = 8
_ROW_COUNT = 8_000
_TAKEN_COUNT = 2_000
_HIT_COUNT_MAX = 40
"""Pages looked at for each row that is taken: a few of each index. Without one it is thousands."""

_FILL = """
INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count, state,
                  ready_at, expires_at)
SELECT gen_random_uuid(), 1, 1, 1, 'FR', 1, 1, $1, now() - interval '1 minute',
       now() - interval '1 minute'
FROM generate_series(1, $2)"""


@pytest.fixture
async def emptied(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database whose table of work was vacuumed while nothing was in it."""
    opened = await asyncpg.connect(database_url, timeout=10)
    try:
        await opened.execute("VACUUM (ANALYZE) work")
        yield opened
    finally:
        await opened.close(timeout=10)


@pytest.mark.parametrize(
    ("statement", "types", "arguments", "state"),
    [
        (work._TAKE_READY, "int, int, float8, int", f"1, 1, 8.0, {_TAKEN_COUNT}", "ready"),
        (work._TAKE_DUE, "int", f"{_TAKEN_COUNT}", "scheduled"),
        (work._TAKE_EXPIRED, "int", f"{_TAKEN_COUNT}", "parked"),
    ],
    ids=["ready", "due", "expired"],
)
async def test_a_sudden_backlog_is_taken_by_index(
    emptied: asyncpg.Connection, statement: str, types: str, arguments: str, state: str
) -> None:
    # Given a statement that was run often enough to have its plan kept
    await emptied.execute(f"PREPARE taking ({types}) AS {statement}")
    for _ in range(_KEPT_AFTER_COUNT):
        await emptied.execute(f"EXECUTE taking ({arguments})")

    # When thousands of rows come at once
    await emptied.execute(_FILL, state, _ROW_COUNT)
    explained = await emptied.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE taking ({arguments})"
    )

    # Then each costs a few pages
    plan = json.loads(explained)[0]["Plan"]
    assert plan["Actual Rows"] == _TAKEN_COUNT
    assert plan["Shared Hit Blocks"] / _TAKEN_COUNT < _HIT_COUNT_MAX
