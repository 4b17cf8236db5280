"""10,000 messages of phones, in parts, shuffled and repeated, some without a part, while everything
that takes them in is killed: each is there once, and as it was sent."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.db import inbound
from tests import fleet as fleets
from tests import servers
from tests.chaos import phones

MESSAGE_COUNT = 10_000
PROCESSES = ("dlr", "a", "b")
SECONDS_MAX = 240.0
CONFIGURATION = """
[[account]]
name = "alice"
currency = "EUR"
credit = "10"
""" + "".join(
    f"""
[[line]]
account = "alice"
sender = "{sender}"
kind = "{kind}"
country = "FR"
"""
    for sender, kind in zip(phones.LINES, ("mobile", "short_code"), strict=False)
)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[fleets.Fleet]:
    """Two dispatchers and a dlr that joins nothing that is not whole, on durable servers."""
    with servers.throwaway(durable=True) as private, fleets.fleet(private, tmp_path) as built:
        built.apply(CONFIGURATION, binds=2)
        yield built


def _kill(fleet: fleets.Fleet, name: str) -> None:
    """kill -9 of a process or of PostgreSQL, started again at once."""
    if name in PROCESSES:
        fleet.kill(name)
        fleet.restart(name)
    else:
        fleet.servers.kill(name)
        fleet.servers.restart(name)


async def test_each_message_of_a_phone_arrives_once_and_whole_whatever_dies(
    fleet: fleets.Fleet,
) -> None:
    chance = random.Random(7)
    messages = phones.sent(MESSAGE_COUNT, chance)
    deliveries = phones.shuffled(messages, chance)
    async with phones.centre(fleet.ports["smpp"]) as centre, asyncio.timeout(SECONDS_MAX):
        fleet.start("dlr", SLUICE_INBOUND_PARTS_SECONDS="600")
        for name in ("a", "b"):
            fleet.start("dispatcher", name)
        await fleet.ready(*PROCESSES)
        # Given a carrier that delivers all of it, When everything is killed meanwhile
        delivering = asyncio.ensure_future(centre.deliver(deliveries))
        for share, name in enumerate(("a", "dlr", "postgres", "b", "a"), 1):
            while centre.taken_count < len(deliveries) * share / 6 and not delivering.done():
                await asyncio.sleep(0.01)
            assert not delivering.done()
            await asyncio.to_thread(_kill, fleet, name)
        await delivering
        # And what lacks a part is given up
        await asyncio.to_thread(fleet.kill, "dlr")
        fleet.start("dlr", SLUICE_INBOUND_PARTS_SECONDS="0.1")
        connection = await asyncpg.connect(fleet.servers.database_url, timeout=10)
        try:
            while await connection.fetchval("SELECT count(*) FROM inbound_parts"):
                await asyncio.sleep(0.2)
            arrived = await inbound.after(connection, 1, 0, 2 * MESSAGE_COUNT)
            astray = await inbound.of_nobody(connection, 2 * MESSAGE_COUNT)
        finally:
            await connection.close(timeout=10)
    # Then every message is there once, at the account whose line it is, and says what it lacks
    assert centre.repeated_count > 0
    found = Counter(
        (each.sender, each.recipient, each.body, tuple(each.missing))
        for each in [*arrived, *astray]
    )
    wanted = Counter((each.phone, each.line, each.arrives, each.lost) for each in messages)
    assert found == wanted
    assert {each.recipient for each in arrived} == {*phones.LINES[:2]}
    assert [each.sequence for each in arrived] == list(range(1, len(arrived) + 1))
