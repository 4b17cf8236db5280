"""The Mailjet-shaped API: a name that is used for the first time becomes a line, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.ingest.mailjet import senders
from shared.db import apply
from tests.integration.ingest import texter as texters
from tests.integration.ingest import world
from tests.integration.ingest.world import PRICES, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+4915112345678"


async def test_a_name_becomes_a_line_of_the_account_that_uses_it_first(town: World) -> None:
    first = await texters.opened(town, "first")
    second = await texters.opened(town, "second")
    shown = await first.sent("Shop Bot", PHONE)
    assert shown["From"] == "Shop Bot"
    await second.sent("Shop Bot", PHONE)
    assert await first.names() == await second.names() == ["Shop Bot"]
    line = (await town.get("first", "/v1/lines"))["lines"][0]
    assert (line["sender"], line["kind"], line["country"]) == ("Shop Bot", "alphanumeric", "DE")

    # And it is a line like any other
    await town.post("first", "/v1/messages", {"from": "Shop Bot", "to": PHONE, "text": "x"})


async def test_first_uses_at_once_in_two_processes_make_one_line(town: World) -> None:
    # Given a second process, and an account without lines
    async with world.beside(town) as client:
        crowd = await texters.opened(town, "crowd")
        elsewhere = replace(crowd, root=f"{client._base_url}".rstrip("/"))
        await elsewhere.ask("GET", "/sms")

        # When twenty messages use one new name, and ten others one each
        used = ["Rush"] * 20 + [f"Rush{number}" for number in range(10)]
        answers = await asyncio.gather(
            *(
                (crowd, elsewhere)[place % 2].send(name, PHONE, f"{place}")
                for place, name in enumerate(used)
            )
        )

        # Then all go out, each from its line
        assert [answer.status for answer in answers] == [200] * len(used), answers
        assert sorted(await crowd.names()) == sorted(set(used))
        sent = await town.pool.fetch(
            "SELECT m.sender, l.sender AS line FROM messages m JOIN lines l USING (line_id)"
            " WHERE m.account_id = $1",
            crowd.account_id,
        )
        assert sorted(row["sender"] for row in sent) == sorted(used)
        assert [row for row in sent if row["sender"] != row["line"]] == []


async def test_an_account_may_be_held_to_the_lines_of_its_operator(town: World) -> None:
    own = apply.Line("held", "Own", "alphanumeric", "DE", False, 1_000, 1_000, 1_000)
    held = await texters.opened(town, "held", senders_restricted=True, lines=(own,))
    await held.sent("Own", PHONE)
    assert (await held.send("Other", PHONE, "x")).says("sluice-unknown-sender", "From")
    assert await held.names() == ["Own"]


async def test_what_is_refused_makes_no_line(town: World) -> None:
    # Given accounts that may not send this: by rule, by their day, by their balance, by a STOP
    async with town.pool.acquire() as connection:
        await apply.put(connection, apply.Price("US", "EUR", 10_000), None)
    ruled = await texters.opened(town, "ruled")
    tired = await texters.opened(town, "tired", daily_limit=0)
    broke = await texters.opened(town, "brokemailer", credit_micro=PRICES["DE"] - 1)
    async with town.client.put(
        f"/v1/opt-outs/{PHONE}", json={}, headers=town.bearer("ruled")
    ) as made:
        assert made.status in (200, 201), await made.text()
    for texter, to, code, related in (
        (ruled, "+14155550177", "sluice-sender-not-allowed", ["From"]),
        (ruled, PHONE, "sluice-opted-out", ["To"]),
        (tired, PHONE, "sms-0003", []),
        (broke, PHONE, "sms-0001", []),
    ):
        answer = await texter.send("Bad Idea", to, "x")
        assert answer.says(code, *related), answer
        assert await texter.names() == []


async def test_an_account_gets_a_hundred_names_by_using_them(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = await texters.opened(town, "many")
    monkeypatch.setattr(senders, "NAME_COUNT_MAX", 3)
    for number in range(3):
        await many.sent(f"Name{number}", PHONE)
    before = await town.books()
    refused = await many.send("Name3", PHONE, "x")
    assert refused.says("sluice-too-many-senders", "From")
    assert await town.books() == before
    assert len(await many.names()) == 3
    await many.sent("Name0", PHONE)
