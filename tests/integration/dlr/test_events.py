"""The log of events while many connections settle at once."""

from __future__ import annotations

import asyncio
import random

from services.dlr import interpreters
from shared.db import events
from tests.integration.dlr import world

Readers = interpreters.Interpreters

CONNECTIONS = 8


async def test_numbers_have_no_gap_and_no_reader_is_overtaken_when_eight_connections_settle(
    town: world.World, readers: Readers
) -> None:
    message_ids = await town.submit(400)
    said = [
        town.receipt(message_id, word)
        for message_id in message_ids
        for word in ("UNDELIV", "DELIVRD", "UNDELIV")
    ]
    random.Random(63).shuffle(said)
    batches = [said[start : start + 30] for start in range(0, len(said), 30)]
    done = asyncio.Event()
    reading = asyncio.create_task(_follow(town, done))

    async def settle_share(number: int) -> None:
        for batch in batches[number::CONNECTIONS]:
            await town.apply(readers, *batch)

    await asyncio.gather(*(settle_share(number) for number in range(CONNECTIONS)))
    done.set()
    followed = await reading

    async with town.pool.acquire() as connection:
        stored = await events.after(connection, town.account_id, 0, 1_000_000)
    assert [event.sequence for event in stored] == list(range(1, len(stored) + 1))
    assert followed == stored
    assert await town.statuses(message_ids) == {"delivered"}
    by_message: dict[object, list[str]] = {}
    for event in stored:
        by_message.setdefault(event.subject_id, []).append(event.status)
    assert {tuple(history) for history in by_message.values()} <= {
        ("submitted", "delivered"),
        ("submitted", "undelivered", "delivered"),
    }


async def _follow(town: world.World, done: asyncio.Event) -> list[events.StoredEvent]:
    """Read with a cursor, as a producer does, until all is done."""
    seen: list[events.StoredEvent] = []
    last_turn = False
    while not last_turn:
        last_turn = done.is_set()
        async with town.pool.acquire() as connection:
            cursor = seen[-1].sequence if seen else 0
            seen += await events.after(connection, town.account_id, cursor, 1_000_000)
    return seen
