"""The Mailjet-shaped API: lists, messages and counts, however clients write their filters."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from services.ingest.mailjet import reads
from shared.db import configuration
from tests.integration.ingest import texter as texters
from tests.integration.ingest.texter import Texter
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE, OTHER = "+4915112345678", "+33612345678"
STATUSES = [
    ("delivered", "", 3),
    ("submitted", "", 2),
    ("rejected", "the carrier refused the recipient", 14),
    ("rejected", "the carrier refused the message", 4),
    ("queued", "", 1),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(town: World) -> Texter:
    """An account with five messages, each with a status of its own, the newest last in STATUSES."""
    made = await texters.opened(town, "reader", consent="own")
    for place, (status, reason, _) in enumerate(STATUSES):
        shown = await made.sent("ShopBot", OTHER if place == 1 else PHONE, f"{place}")
        await town.pool.execute(
            "UPDATE messages SET status = $2, reason = $3 WHERE message_id = $1",
            UUID(shown["ID"]),
            status,
            reason,
        )
    await town.pool.execute(
        "INSERT INTO segments (message_id, part, state, carrier_id, accepted_at)"
        " SELECT message_id, 1, status, carrier_id, now() FROM messages"
        " WHERE account_id = $1 AND status = 'delivered'",
        made.account_id,
    )
    return made


async def _codes(reader: Texter, query: str) -> list[int]:
    answer = await reader.ask("GET", f"/sms{query}")
    assert answer.status == 200, answer
    return [row["Status"]["Code"] for row in answer.body["Data"]]


async def test_m48_a_list_has_details_newest_first(reader: Texter) -> None:
    answer = await reader.ask("GET", "/sms")
    assert list(answer.body) == ["Data"]
    rows = answer.body["Data"]
    assert [row["Status"]["Code"] for row in rows] == [1, 4, 14, 2, 3]
    assert [row["CreationTS"] for row in rows] == sorted(
        (row["CreationTS"] for row in rows), reverse=True
    )
    for row in rows:
        assert row["MessageId"] == row["ID"]
        assert row["SMSCount"] == row["SmsCount"] == 1
        assert "Text" not in row
    assert [row["To"] for row in rows] == [PHONE, PHONE, PHONE, OTHER, PHONE]
    assert ["SentTS" in row for row in rows] == [False, False, False, False, True]
    assert isinstance(rows[-1]["SentTS"], int)
    assert rows[0]["Cost"] == {"Value": 0.07, "Currency": "EUR"}


async def test_m48_a_count_says_how_many(reader: Texter) -> None:
    assert (await reader.ask("GET", "/sms/count")).body == {"Count": 5}
    for query, count in (
        ("StatusCode=3", 1),
        ("StatusCode=3,4,14", 3),
        ("StatusCode=16", 0),
        ("To=%2B4915112345678&StatusCode=1", 1),
        ("FromTS=1&ToTS=2", 0),
    ):
        assert (await reader.ask("GET", f"/sms/count?{query}")).body == {"Count": count}


async def test_m48_one_message_is_a_list_of_one(reader: Texter) -> None:
    row = (await reader.ask("GET", "/sms")).body["Data"][2]
    assert (await reader.ask("GET", f"/sms/{row['ID']}")).body == {"Data": [row]}
    for unknown in (str(UUID(int=7)), "7", "x" * 300):
        answer = await reader.ask("GET", f"/sms/{unknown}")
        assert answer.says("sluice-no-such-message", status=404)


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        # A raw plus is a blank once it is decoded; some clients send it so.
        ("?To=+4915112345678", [1, 4, 14, 3]),
        ("?To=%2B33612345678", [2]),
        ("?To=33612345678", []),
        ("?To=%00", []),
        ("?To=", []),
        ("?StatusCode=1,2", [1, 2]),
        ("?StatusCode=1%2C2", [1, 2]),
        ("?StatusCode[]=1&StatusCode[]=2", [1, 2]),
        ("?StatusCode%5B%5D=1&StatusCode%5B%5D=2", [1, 2]),
        ("?StatusCode=4", [4]),
        ("?StatusCode=14", [14]),
        ("?StatusCode=4&StatusCode=3", [4]),
        ("?StatusCode=7", []),
        ("?Limit=2", [1, 4]),
        ("?Limit=2&Limit=3", [1, 4]),
        ("?Limit=0", [1, 4, 14, 2, 3]),
        ("?Limit=1000&Offset=3", [2, 3]),
        ("?Offset=99999999999", []),
        ("?FromTS=1731500000000&ToTS=1731500000001", []),
        ("?FromTS=1&ToTS=2", []),
        ("?FromTS=2000-01-01T00:00:00Z", [1, 4, 14, 2, 3]),
        ("?ToTS=2000-01-01T00:00:00Z", []),
        ("?SomethingElse=1", [1, 4, 14, 2, 3]),
        ("?IDs=7,x", []),
    ],
)
async def test_filters_come_as_clients_write_them(
    reader: Texter, query: str, codes: list[int]
) -> None:
    assert await _codes(reader, query) == codes


async def test_a_stretch_has_both_its_ends_and_ids_are_picked(reader: Texter) -> None:
    rows = (await reader.ask("GET", "/sms")).body["Data"]
    first, last = rows[-1]["CreationTS"], rows[0]["CreationTS"]
    assert len(await _codes(reader, f"?FromTS={first}&ToTS={last}")) == 5
    assert len(await _codes(reader, f"?FromTS={last + 1}")) == 0
    picked = f"?IDs={rows[0]['ID']},{rows[3]['ID']}"
    assert await _codes(reader, picked) == [1, 2]


@pytest.mark.parametrize(
    ("query", "code", "related"),
    [
        ("FromTS=soon", "mj-0004", "FromTS"),
        ("ToTS=", "mj-0004", "ToTS"),
        ("StatusCode=x", "mj-0004", "StatusCode"),
        ("StatusCode=", "mj-0004", "StatusCode"),
        ("Offset=-1", "mj-0004", "Offset"),
        ("Limit=ten", "mj-0004", "Limit"),
        ("Limit=" + "9" * 30, "mj-0004", "Limit"),
        ("StatusCode=17", "mj-0005", "StatusCode"),
        ("StatusCode[]=1&StatusCode[]=99", "mj-0005", "StatusCode"),
        ("FromTS=2026-02-30T00:00:00Z", "mj-0009", "FromTS"),
        ("Limit=1001", "mj-0025", "Limit"),
    ],
)
async def test_bad_filters_are_named(reader: Texter, query: str, code: str, related: str) -> None:
    answer = await reader.ask("GET", f"/sms?{query}")
    assert answer.says(code, related), answer


async def test_without_a_stretch_the_last_three_months_are_listed(
    town: World, reader: Texter
) -> None:
    # Given a message of four months ago
    old = UUID(int=int((time.time() - timedelta(days=120).total_seconds()) * 1000) << 80 | 1)
    newest = UUID((await reader.ask("GET", "/sms?Limit=1")).body["Data"][0]["ID"])
    made = await town.pool.execute(
        "UPDATE messages SET message_id = $2 WHERE message_id = $1", newest, old
    )
    assert made == "UPDATE 1"

    # Then it is listed where it is asked for
    assert await _codes(reader, "") == [4, 14, 2, 3]
    assert await _codes(reader, "?FromTS=1") == [4, 14, 2, 3, 1]
    await town.pool.execute(
        "UPDATE messages SET message_id = $1 WHERE message_id = $2", newest, old
    )


async def test_accounts_see_their_own_messages_alone(town: World, reader: Texter) -> None:
    stranger = await texters.opened(town, "stranger")
    rows = (await reader.ask("GET", "/sms")).body["Data"]
    assert (await stranger.ask("GET", "/sms")).body == {"Data": []}
    assert (await stranger.ask("GET", "/sms/count")).body == {"Count": 0}
    assert (await stranger.ask("GET", f"/sms?IDs={rows[0]['ID']}")).body == {"Data": []}
    for path in (rows[0]["ID"], UUID(int=7)):
        answer = await stranger.ask("GET", f"/sms/{path}")
        assert answer.says("sluice-no-such-message", status=404)


async def test_what_a_line_in_api_mode_sent_is_not_shown_here(town: World) -> None:
    # Given an account one of whose lines goes over to another API
    desk = await texters.opened(town, "deskmailer", consent="own")
    shown = [await desk.sent(name, PHONE) for name in ("Mine", "Theirs")]
    async with town.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE lines SET mode = 'api' WHERE account_id = $1 AND sender = $2",
            desk.account_id,
            "Theirs",
        )
        await configuration.bump(connection)
    await _shows(desk, 1)

    # Then its messages are neither listed nor counted nor shown, and it sends nothing here
    assert [row["From"] for row in (await desk.ask("GET", "/sms")).body["Data"]] == ["Mine"]
    assert (await desk.ask("GET", "/sms/count")).body == {"Count": 1}
    assert (await desk.ask("GET", f"/sms/{shown[1]['ID']}")).says("mj-0021", status=403)
    assert (await desk.send("Theirs", PHONE, "x")).says("sluice-wrong-mode", "From")


async def _shows(desk: Texter, count: int) -> None:
    """Until the running ingest has looked at what operators have set."""
    async with asyncio.timeout(10):
        while len((await desk.ask("GET", "/sms")).body["Data"]) != count:
            await asyncio.sleep(0.05)


async def test_calls_carry_content_types_without_a_body_and_an_odd_root(reader: Texter) -> None:
    assert len((await reader.ask("GET", "/REST/sms")).body["Data"]) == 5
    assert (await reader.ask("GET", "/REST/sms/count")).body == {"Count": 5}


async def test_what_takes_too_long_is_refused_and_not_to_be_asked_again(
    town: World, reader: Texter, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more messages than can be gone through in time
    monkeypatch.setattr(reads, "LOOK_SECONDS", 0.05)
    async with town.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE messages")

        # Then whoever asks is told to ask for fewer, with a status that no client repeats at once
        for path in ("/sms", "/sms/count"):
            assert (await reader.ask("GET", path)).says("sluice-too-many-messages", "FromTS")
