"""A phone that says a word: it is obeyed at once, and told so once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.db import auto_replies, inbound
from shared.runtime import ids
from shared.sms import auto_texts
from shared.sms.inbound import Alphabet, InboundText
from shared.sms.keywords import PhoneWord
from tests.integration.ingest.world import NUMBER, World
from tests.keys import SEALS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def say(town: World, phone: str, *texts: str, missing: Sequence[int] = ()) -> None:
    """A phone sends these to Alice's number, in one batch."""
    async with town.pool.acquire() as opened, opened.transaction():
        said = [InboundText(text, None, Alphabet.UCS2, tuple(missing)) for text in texts]
        way = (1, phone, NUMBER)
        await inbound.insert(
            opened, SEALS, [inbound.new_inbound(ids.uuid7(), way, text, 2, None) for text in said]
        )


async def answers(town: World, phone: str) -> list[str]:
    """The texts of all messages to the phone, once nothing is owed any more."""
    async with asyncio.timeout(10):
        while await town.pool.fetchval(
            "SELECT count(*) FROM auto_replies WHERE answered_at IS NULL"
        ):
            await asyncio.sleep(0.02)
    rows = await town.pool.fetch(
        "SELECT body FROM messages WHERE recipient = $1 ORDER BY message_id", phone
    )
    return [row["body"] for row in rows]


async def is_out(town: World, phone: str) -> bool:
    found = await town.get("alice", f"/v1/opt-outs?number=%2B{phone[1:]}")
    return bool(found["opt_outs"])


def french(word: PhoneWord) -> str | None:
    return auto_texts.text_of(word, "fr")


async def test_stop_is_obeyed_confirmed_once_and_start_undoes_it(town: World) -> None:
    phone = "+33611000001"
    before = float((await town.get("alice", "/v1/balance"))["amount"])
    # Given a phone that says STOP, and then again, as a machine that answers would
    await say(town, phone, " Arr\u00eat ! ")
    assert await is_out(town, phone)
    await answers(town, phone)
    await say(town, phone, "STOP")
    # Then it is told once, from the number it wrote to, for the price of a message
    assert await answers(town, phone) == [french(PhoneWord.STOP)]
    after = float((await town.get("alice", "/v1/balance"))["amount"])
    assert round(before - after, 4) == 0.0453
    body = {"to": phone, "text": "hello", "from": NUMBER}
    assert (await town.post("alice", "/v1/messages", body, 422))["code"] == "opted_out"
    # When it says START, twice
    await say(town, phone, "start")
    await say(town, phone, "Start")
    # Then it is written to again
    assert not await is_out(town, phone)
    assert await answers(town, phone) == [french(PhoneWord.STOP), french(PhoneWord.START)]
    await town.post("alice", "/v1/messages", body)
    # And the log tells of both changes
    events = (await town.get("alice", "/v1/events?after=0&limit=1000"))["events"]
    ids_told = [each["opt_out_id"] for each in events if each["type"].startswith("opt_out.")]
    assert ids_told[-2] == ids_told[-1]


async def test_what_is_no_word_changes_nothing(town: World) -> None:
    phone = "+33611000002"
    await say(town, phone, "please stop", "stop it", "STOPP", "Hilfe", "don't end")
    await say(town, phone, "STOP", missing=[2])
    assert not await is_out(town, phone)
    assert await answers(town, phone) == []


async def test_help_is_given_once_an_hour_also_to_who_has_opted_out(town: World) -> None:
    phone = "+33611000003"
    await say(town, phone, "STOP")
    await say(town, phone, "aide")
    await say(town, phone, "HELP", "AIDE")
    assert await answers(town, phone) == [french(PhoneWord.STOP), french(PhoneWord.HELP)]


async def test_of_one_batch_the_last_word_counts(town: World) -> None:
    phone = "+33611000004"
    await say(town, phone, "STOP", "START")
    assert not await is_out(town, phone)
    await say(town, phone, "START", "STOP")
    assert await is_out(town, phone)
    assert await answers(town, phone) == [french(PhoneWord.STOP)]


async def test_who_never_ceases_is_answered_so_often_an_hour(town: World) -> None:
    phone = "+33611000005"
    for _ in range(auto_replies.HOURLY_COUNT_MAX):
        await say(town, phone, "STOP")
        await say(town, phone, "START")
    assert len(await answers(town, phone)) == auto_replies.HOURLY_COUNT_MAX
    assert not await is_out(town, phone)


async def test_without_money_the_word_is_obeyed_and_nothing_else_happens(town: World) -> None:
    phone = "+33611000006"
    # Given an account that has spent all it had
    taken = "UPDATE wallets SET balance_micro = balance_micro + $1 WHERE account_id = 1 RETURNING 1"
    held = await town.pool.fetchval("SELECT balance_micro FROM wallets WHERE account_id = 1")
    await town.pool.execute(taken, -held)
    try:
        # When a phone says STOP, Then it is out, and told nothing
        await say(town, phone, "STOP")
        assert await answers(town, phone) == []
        assert await is_out(town, phone)
    finally:
        await town.pool.execute(taken, held)
