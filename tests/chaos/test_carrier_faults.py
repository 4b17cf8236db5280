"""A carrier that loses answers and cuts links: doubts are visible, charged once, and submitted
again only where the producer asked for it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests import fleet
from tests.chaos import arena, books, database, load, scenario
from tests.chaos.arena import Arena

CARRIER = """
[[carrier]]
name = "moody"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "moody"
password = "practice"
binds = 1
window = 20
response_seconds = 1.0

[[route]]
country = "DE"
carrier = "moody"
priority = 1
"""
SILENT, CUTTING = "00011", "00008"
COUNTS = {SILENT: 40, CUTTING: 10}
"""Messages; every cut costs a new bind, after an ever longer pause."""
QUIET_SECONDS = arena.RESUBMIT_SECONDS + 4.0
"""Longer than it takes to submit a doubt again, and to doubt again."""
PATIENCE_SECONDS = 60.0


@pytest.mark.parametrize("ending", [SILENT, CUTTING], ids=["lost answers", "cut links"])
async def test_doubts_show_and_are_submitted_again_only_when_asked_for_at_least_once(
    battered: Arena, ending: str
) -> None:
    # Given a carrier that takes submits and loses its answers, and never sends a receipt for those
    # that a receipt would settle.
    account = sender = f"Moody{ending}"
    port = battered.fleet.ports["smpp"]
    battered.apply(fleet.account(account, sender=sender) + CARRIER.format(port=port))
    url, token = battered.fleet.environment["SLUICE_API_URL"], battered.fleet.token(account)
    async with load.Client(url, token, scenario.seeded(account), {sender: 1}, 0) as client:
        # When messages of both kinds of delivery are sent, and all has become quiet.
        for number in range(COUNTS[ending]):
            wanted = client.wish(text="Wait at the gate.", at_least_once=number % 2 == 0)
            wanted.recipient = f"+49151{100 + number}{ending}"
            client.ask([wanted])
        await client.answered()
        await quiet(battered, account, sender)
    # Then every one was in doubt and says so, is charged once, and was submitted once, or twice if
    # that was asked for.
    journal = battered.journal([sender])
    stored = await database.book(battered.servers.database_url, account)
    verdict = books.compare(client.book, stored, journal, {})
    submits = Counter(submit.recipient for submit in journal)
    once = {submits[wish.recipient] for wish in client.book if not wish.at_least_once}
    twice = {submits[wish.recipient] for wish in client.book if wish.at_least_once}
    print(f"{account}: {verdict}; submits at most once {once}, at least once {twice}")
    assert verdict.faults == {}
    assert verdict.acknowledged_count == len(stored) == COUNTS[ending]
    assert all(message.was_in_doubt for message in stored)
    assert max(once) <= 1
    assert max(twice) <= 2
    if ending == SILENT:
        # A cut also loses what the carrier has not read yet; silence loses nothing but answers.
        assert (once, twice) == ({1}, {2})
    assert await battered.audit_ok()


async def quiet(stage: Arena, account: str, sender: str) -> None:
    """Wait until nothing waits and nothing has happened for QUIET_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    seen, since = (-1, {"": 0}), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        assert time.monotonic() < deadline, f"never quiet: {seen}"
        statuses = await database.statuses(stage.servers.database_url, account)
        now = len(stage.journal([sender])), statuses
        if now != seen or "queued" in statuses:
            seen, since = now, time.monotonic()
        await asyncio.sleep(0.25)
