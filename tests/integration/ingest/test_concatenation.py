"""The parts of long messages: their price, and the reference by which a phone joins them again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from shared.db import apply, concatenations, configuration
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "a" * 200
BRIM = "a" * 306
"""Two parts with an 8 bit reference, three with the longer one."""


def message(to: str, text: str = LONG) -> dict[str, str]:
    return {"to": to, "text": text}


async def references(town: World, recipient: str) -> list[int | None]:
    """Of a phone's messages, in the order they were accepted."""
    rows = await town.pool.fetch(
        "SELECT concat_reference FROM messages WHERE recipient = $1 ORDER BY message_id", recipient
    )
    return [row["concat_reference"] for row in rows]


def following(first: int, count: int) -> set[int | None]:
    return {(first + step) & 0xFFFF for step in range(count)}


async def test_no_two_long_messages_to_a_phone_share_a_reference(town: World) -> None:
    """In one batch, in batches side by side, and between messages of one part, which have none."""
    phone, another = "+33612300001", "+33612300002"
    batch = [message(phone), message(another), message(phone, "short"), message(phone)] * 5

    await asyncio.gather(
        *(
            town.post("alice", "/v1/messages/batch", {"messages": batch}, key=f"concat-{number}")
            for number in range(4)
        ),
        *(town.post("alice", "/v1/messages", message(phone)) for _ in range(10)),
    )

    for recipient, count in ((phone, 50), (another, 20)):
        taken = [each for each in await references(town, recipient) if each is not None]
        assert len(taken) == count
        assert set(taken) == following(min(taken), count)
    assert (await references(town, phone)).count(None) == 20


async def test_references_go_round_after_65536(town: World) -> None:
    phone = "+33612300003"
    await town.post("alice", "/v1/messages", message(phone))
    await town.pool.execute(
        "UPDATE concatenations SET last_reference = 65534 WHERE recipient = $1", phone
    )

    for _ in range(3):
        await town.post("alice", "/v1/messages", message(phone))

    assert (await references(town, phone))[1:] == [65535, 0, 1]


async def test_a_phone_s_count_is_kept_until_none_of_its_messages_can_be_on_the_air(
    town: World,
) -> None:
    phone = "+33612300004"
    await town.post("alice", "/v1/messages", message(phone))

    await concatenations.sweep(town.pool)
    kept = await _free_in_hours(town, phone)
    await town.pool.execute(
        "UPDATE concatenations SET free_at = now() - interval '1 second' WHERE recipient = $1",
        phone,
    )
    await concatenations.sweep(town.pool)

    assert kept == [48]  # A day until it expires, and one more.
    assert await _free_in_hours(town, phone) == []


async def _free_in_hours(town: World, phone: str) -> Sequence[int]:
    rows = await town.pool.fetch(
        "SELECT round(extract(epoch FROM free_at - now()) / 3600)::int AS hours "
        "FROM concatenations WHERE recipient = $1",
        phone,
    )
    return [row["hours"] for row in rows]


async def test_parts_are_priced_with_the_header_that_their_carrier_wants(town: World) -> None:
    # Given a carrier to Germany that wants the short reference
    settings = {
        "host": "127.0.0.1",
        "port": 9,
        "system_id": "us",
        "password": "pw",
        "concatenation": "8bit",
    }
    async with town.pool.acquire() as connection, connection.transaction():
        await apply.put(connection, apply.Carrier("brief", "smpp", 0, settings), None)
        await apply.put(connection, apply.Route("DE", "brief", 1), None)
        await configuration.bump(connection)
    async with asyncio.timeout(10):
        while (await _preview(town, "+4915123456789"))["segments"] != 2:
            await asyncio.sleep(0.05)

    # When the same text goes to both countries
    sent = {
        to: await town.post("alice", "/v1/messages", message(to, BRIM))
        for to in ("+33612300005", "+4915123456789")
    }

    # Then each is priced as it will be cut, and as the preview said; without a recipient a text is
    # measured with the usual header
    assert sent["+33612300005"]["segments"] == 3
    assert sent["+4915123456789"]["segments"] == 2
    assert (await _preview(town, "+33612300005"))["segments"] == 3
    assert (await town.post("alice", "/v1/preview", {"text": BRIM}, 200))["segments"] == 3
    for answer in sent.values():
        stored = await town.pool.fetchval(
            "SELECT count(*) FROM parts WHERE message_id = $1", UUID(answer["id"])
        )
        assert stored == answer["segments"]


async def test_a_text_is_priced_in_the_alphabet_that_its_carrier_has(town: World) -> None:
    # Given a carrier to Germany that writes ASCII
    settings = {
        "host": "127.0.0.1",
        "port": 9,
        "system_id": "us",
        "password": "pw",
        "alphabet": "ascii",
    }
    async with town.pool.acquire() as connection, connection.transaction():
        await apply.put(connection, apply.Carrier("brief", "smpp", 0, settings), None)
        await apply.put(connection, apply.Route("DE", "brief", 1), None)
        await configuration.bump(connection)
    accents = "Ä" * 71
    async with asyncio.timeout(10):
        while (await _preview(town, "+4915123456789", accents))["segments"] != 2:
            await asyncio.sleep(0.05)

    # When texts go to both countries, Then what it cannot write is counted as UCS-2, and only there
    for to, text, count in (
        ("+33612300005", accents, 1),
        ("+4915123456789", accents, 2),
        ("+4915123456789", "A" * 160, 1),
    ):
        assert (await _preview(town, to, text))["segments"] == count
        assert (await town.post("alice", "/v1/messages", message(to, text)))["segments"] == count


async def _preview(town: World, to: str, text: str = BRIM) -> dict[str, int]:
    found: dict[str, int] = await town.post("alice", "/v1/preview", {"text": text, "to": to}, 200)
    return found
