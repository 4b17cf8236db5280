"""Dispatchers killed before a carrier's answers: what the carrier took does not stay in doubt."""

from __future__ import annotations

import asyncio
import os
import time

from tests import fleet
from tests.chaos import arena, books, database, foreign, load, scenario
from tests.chaos.arena import Arena

MESSAGE_COUNT = int(os.environ.get("SLUICE_TEST_DOUBT_MESSAGES", "400"))
KILL_COUNT = int(os.environ.get("SLUICE_TEST_DOUBT_KILLS", "2"))
PER_SECOND = 400.0
PATIENCE_SECONDS = 60.0
CARRIER = """
[[carrier]]
name = "foreign"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "us"
password = "practice"
binds = {binds}
window = {window}

[[route]]
country = "GB"
carrier = "foreign"
priority = 1
"""
ACCOUNT = "Doubts"


async def test_no_message_stays_in_doubt_that_its_carrier_took(battered: Arena) -> None:
    # Given a carrier of somebody else's making.
    random = scenario.seeded(ACCOUNT)
    url = battered.fleet.environment["SLUICE_API_URL"]
    async with foreign.foreign_carrier(random) as carrier:
        battered.apply(_at(carrier.port))
        token = battered.fleet.token(ACCOUNT)
        async with load.Client(url, token, random, {ACCOUNT: 1}, 0) as client:
            # When dispatchers die again and again while it has their submits in hand.
            for number in range(KILL_COUNT):
                await _send(client, MESSAGE_COUNT // KILL_COUNT)
                await battered.kill(arena.DISPATCHERS[number % 2])
            await client.answered()
            await _ended(battered, carrier)
        stored = await database.book(battered.servers.database_url, ACCOUNT)
        # A carrier is never deleted: this one moves, so that no dispatcher waits for it for ever.
        battered.apply(_at(battered.fleet.ports["smpp"]))
    # Then only what the carrier never saw is in doubt, and nothing was sent twice or given back.
    doubted = {message.recipient for message in stored if message.was_in_doubt}
    left = {message.recipient for message in stored if "in_doubt" in _states(message)}
    taken = {f"+{phone}" for phone in carrier.taken}
    print(
        f"{ACCOUNT}: {len(stored)} messages, {KILL_COUNT} kills: {len(doubted)} came into doubt, "
        f"{len(doubted & taken)} of them taken by the carrier; {len(left)} are in doubt now, "
        f"{len(left & taken)} of them taken"
    )
    assert len(stored) == MESSAGE_COUNT
    assert doubted & taken
    assert not left & taken
    assert len(left) <= len({message.recipient for message in stored} - taken)
    assert {_states(message) for message in stored if message.recipient in taken} == {
        frozenset({"delivered"})
    }
    assert set(carrier.taken.values()) == {1}
    assert not any(part.refund_count for message in stored for part in message.parts.values())
    assert await battered.audit_ok()


def _at(port: int) -> str:
    carrier = CARRIER.format(port=port, binds=arena.BINDS, window=arena.WINDOW)
    return fleet.account(ACCOUNT, sender=ACCOUNT) + carrier


async def _send(client: load.Client, count: int) -> None:
    """So many messages of one segment, so fast that windows are full."""
    for _ in range(count):
        wanted = client.wish(text="Wait at the gate.")
        wanted.recipient = f"+44777{len(client.book):07d}"
        client.ask([wanted])
        await asyncio.sleep(1 / PER_SECOND)


def _states(message: books.Stored) -> frozenset[str]:
    return frozenset(part.state for part in message.parts.values())


async def _ended(stage: Arena, carrier: foreign.ForeignCarrier) -> None:
    """Wait until nothing is on its way, and no more doubt than what the carrier never saw."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = await database.statuses(stage.servers.database_url, ACCOUNT)
        on_their_way = found.get("queued", 0) + found.get("submitted", 0)
        unseen_count = MESSAGE_COUNT - len(carrier.taken)
        if not (on_their_way or carrier.owes) and found.get("in_doubt", 0) <= unseen_count:
            return
        await asyncio.sleep(0.25)
