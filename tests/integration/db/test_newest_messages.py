"""The newest messages of an account are read by its own index, whatever the others have sent."""

from __future__ import annotations

from shared.db import messages
from tests.integration.dispatcher import conftest as dispatcher
from tests.integration.dispatcher.conftest import Town

town = dispatcher.town


async def test_one_message_among_many_of_others_is_found_by_the_accounts_index(town: Town) -> None:
    await town.accept(1_000)
    await town.pool.execute(
        "UPDATE messages SET account_id = 2 WHERE message_id ="
        " (SELECT message_id FROM messages ORDER BY message_id LIMIT 1)"
    )
    async with town.pool.acquire() as opened:
        await opened.execute(
            "PREPARE newest (int, uuid, text, text, text, timestamptz, timestamptz, int) AS "
            + messages._LIST
        )
        rows = await opened.fetch(
            "EXPLAIN (ANALYZE) EXECUTE newest (2, NULL, NULL, NULL, NULL, NULL, NULL, 50)"
        )
        await opened.execute("DEALLOCATE newest")
    plan = "\n".join(row[0] for row in rows)
    # one row is touched, and nothing is sorted
    assert "Index Scan Backward using messages_of_account" in plan
    assert "Rows Removed" not in plan
    assert "Sort" not in plan
