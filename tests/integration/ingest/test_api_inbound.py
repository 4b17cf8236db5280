"""What phones have sent is read page by page, by the account it came to and by no other."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest

from shared.db import inbound
from shared.runtime import ids
from shared.sms.inbound import Alphabet, InboundText
from tests.integration.ingest.world import NUMBER, World
from tests.keys import SEALS

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+33612345678"


async def _receive(town: World, *texts: InboundText, recipient: str = NUMBER) -> list[UUID]:
    """Let a phone have sent these to a line of Alice's."""
    messages = [
        inbound.new_inbound(ids.uuid7(), (1, PHONE, recipient), text, 2, None) for text in texts
    ]
    async with town.pool.acquire() as connection, connection.transaction():
        await inbound.insert(connection, SEALS, messages)
    return [message.inbound_id for message in messages]


def _text(body: str, *missing: int) -> InboundText:
    return InboundText(body, None, Alphabet.UCS2, missing)


async def test_every_inbound_message_is_read_once_when_cursors_are_followed(town: World) -> None:
    # Given five messages, one of which lacks a part and one of which is no text
    start = (await town.get("alice", "/v1/inbound?limit=1000"))["cursor"]
    binary = InboundText(None, b"\x00\xff", Alphabet.BINARY, (), b"\x06\x05\x04\x0b\x84\x23\xf0")
    received = await _receive(
        town, _text("Да"), _text("half", 2), binary, _text("three"), _text("four")
    )
    # When cursors are followed
    read: list[dict[str, Any]] = []
    cursor = start
    while (page := await town.get("alice", f"/v1/inbound?after={cursor}&limit=2"))["inbound"]:
        read += page["inbound"]
        cursor = page["cursor"]
    # Then each is there once, in order, and says what it is
    assert [each["id"] for each in read] == [str(each) for each in received]
    assert [each["sequence"] for each in read] == [int(start) + n for n in range(1, 6)]
    assert read[0] | {"id": "", "received_at": "", "sequence": 0} == {
        "id": "",
        "sequence": 0,
        "from": PHONE,
        "to": NUMBER,
        "text": "Да",
        "body_stored": True,
        "data": None,
        "header": None,
        "encoding": "ucs2",
        "parts": 2,
        "missing": [],
        "answers": None,
        "received_at": "",
    }
    assert (read[1]["text"], read[1]["missing"]) == ("half", [2])
    assert read[2]["text"] is None
    assert base64.b64decode(read[2]["data"]) == b"\x00\xff"
    assert base64.b64decode(read[2]["header"]) == binary.udh
    assert page["cursor"] == cursor == str(int(start) + 5)


async def test_an_answer_names_the_message_that_it_answers(town: World) -> None:
    await _receive(town)
    start = (await town.get("alice", "/v1/inbound?limit=1000"))["cursor"]
    asked = await town.post(
        "alice", "/v1/messages", {"to": PHONE, "from": NUMBER, "text": "Are you coming?"}
    )
    await _receive(town, _text("yes"))
    [answer] = (await town.get("alice", f"/v1/inbound?after={start}"))["inbound"]
    assert (answer["text"], answer["answers"]) == ("yes", asked["id"])


async def test_nobody_reads_what_came_to_another_account_or_to_nobody(town: World) -> None:
    await _receive(town, _text("for Alice"))
    await _receive(town, _text("for nobody"), recipient="+33698765433")
    assert await town.get("bob", "/v1/inbound") == {"inbound": [], "cursor": "0"}
    assert await town.get("bob", "/v1/inbound?after=7") == {"inbound": [], "cursor": "7"}
    texts = [each["text"] for each in (await town.get("alice", "/v1/inbound"))["inbound"]]
    assert "for Alice" in texts
    assert "for nobody" not in texts
