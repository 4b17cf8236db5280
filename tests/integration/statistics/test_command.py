"""`sluice stats` as an operator types it."""

from __future__ import annotations

import json

import asyncpg

from tests.integration.audit import books
from tests.integration.commands.sluice import Command


async def test_m51_an_operator_sees_what_an_account_has_sent(
    command: Command, database_url: str
) -> None:
    # Given an account with a message in every place
    owner = await asyncpg.connect(database_url, timeout=10)
    try:
        await books.write(owner)
    finally:
        await owner.close(timeout=10)

    # When it is asked for by status, as a table, as JSON and as CSV
    shown = await command("stats", "demo", "--by", "status")
    told = await command("stats", "demo", "--by", "status", "--outcome", "pending", "--json")
    written = await command("stats", "demo", "--by", "country,class", "--csv")

    # Then each tells the same
    assert (shown.code, told.code, written.code) == (0, 0, 0)
    assert "delivered" in shown.output
    counts = {row["status"]: row["message_count"] for row in json.loads(told.output)}
    assert counts == {"parked": 1, "queued": 2, "scheduled": 1, "submitted": 1}
    lines = written.output.splitlines()
    assert lines[0].startswith('"country","class","currency","messages"')
    assert lines[1].startswith('"FR","normal","EUR","7","14"')

    # And what cannot be asked is refused with a sentence
    for wrong in (("nobody",), ("demo", "--by", "moon"), ("demo", "--from", "yesterday")):
        refused = await command("stats", *wrong)
        assert refused.code == 2
