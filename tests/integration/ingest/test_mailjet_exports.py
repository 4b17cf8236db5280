"""The Mailjet-shaped API: exports of messages, from their order to the file."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest
import pytest_asyncio

from services.dlr.exports import ExportWriter
from shared.db import watch
from tests.integration.ingest import texter as texters
from tests.integration.ingest.texter import Texter
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+4915112345678"
MEMBERS = ["ID", "CreationTS", "ExpirationTS", "URL", "Status", "FromTs", "ToTs"]
DAY = 86_400


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(town: World) -> Texter:
    """An account with two messages."""
    made = await texters.opened(town, "exporter")
    for number in range(2):
        await made.sent("ShopBot", PHONE, f"{number}")
    return made


async def _written(town: World) -> None:
    """When a worker has come by."""
    await ExportWriter(town.pool, await watch.Watch.start(town.pool)).write_all()


async def test_m49_messages_are_exported_to_a_file_behind_a_link(
    town: World, exporter: Texter
) -> None:
    # Given an export that is ordered
    now = int(time.time())
    asked = {"FromTS": now - DAY, "ToTS": now + DAY}
    ordered = await exporter.ask("POST", "/sms/export", asked)
    assert ordered.status == 200
    assert list(ordered.body) == MEMBERS
    assert isinstance(ordered.body["ID"], int)
    assert [ordered.body[name] for name in MEMBERS[1:4]] == [None, None, None]
    assert ordered.body["Status"] == {
        "Code": 1,
        "Name": "PENDING",
        "Description": "The request is accepted.",
    }
    assert (ordered.body["FromTs"], ordered.body["ToTs"]) == (now - DAY, now + DAY)

    # When it has been written
    await _written(town)

    # Then either order of its path tells so, and the file is for whoever has the link
    path = ordered.body["ID"]
    done = (await exporter.ask("GET", f"/sms/export/{path}")).body
    assert list(done) == MEMBERS
    assert (done["Status"]["Code"], done["Status"]["Name"]) == (3, "COMPLETED")
    assert done["ExpirationTS"] - done["CreationTS"] == pytest.approx(7 * DAY, abs=2)
    turned = (await exporter.ask("GET", f"/sms/{path}/export")).body
    assert turned["ID"] == path
    async with town.client.get(done["URL"]) as file:
        assert file.status == 200
        assert file.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO((await file.text()).removeprefix("\ufeff"))))
    listed = (await exporter.ask("GET", "/sms")).body["Data"]
    assert {row["id"] for row in rows} == {row["ID"] for row in listed}


async def test_bounds_come_in_the_query_too_and_milliseconds_hold_nothing(
    town: World, exporter: Texter
) -> None:
    now = int(time.time())
    for path, body in (
        (f"/sms/export?FromTS={now - 60}&ToTS={now}", {}),
        (f"/sms/export?FromTS={now - 60}&ToTS={now}", None),
        ("/sms/export", {"FromTS": "2026-11-01T00:00:00Z", "ToTS": now * 1000}),
        ("/sms/export", {"FromTS": now * 1000, "ToTS": now * 1000 + 1}),
    ):
        ordered = await exporter.ask("POST", path, body)
        assert ordered.status == 200, ordered
    await _written(town)
    done = (await exporter.ask("GET", f"/sms/export/{ordered.body['ID']}")).body
    async with town.client.get(done["URL"]) as file:
        assert len((await file.text()).splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "code", "related"),
    [
        ({}, "mj-0003", "FromTS"),
        ({"FromTS": 1_900_000_000}, "mj-0003", "ToTS"),
        ({"FromTS": None, "ToTS": 1}, "mj-0003", "FromTS"),
        ({"FromTS": "soon", "ToTS": 1}, "mj-0004", "FromTS"),
        ({"FromTS": True, "ToTS": 1}, "mj-0004", "FromTS"),
        ({"FromTS": "2026-02-30T00:00:00Z", "ToTS": 1}, "mj-0009", "FromTS"),
        ({"FromTS": 1, "ToTS": 2}, "mj-0009", "FromTS"),
        ({"FromTS": 1_900_000_000, "ToTS": 1_800_000_000}, "mj-0009", "ToTS"),
    ],
)
async def test_bad_bounds_are_named(exporter: Texter, body: Any, code: str, related: str) -> None:
    answer = await exporter.ask("POST", "/sms/export", body)
    assert answer.says(code, related), answer
    if body == {"FromTS": 1, "ToTS": 2}:
        assert "one year" in answer.body["ErrorMessage"]


async def test_an_export_is_its_accounts_and_has_a_number(town: World, exporter: Texter) -> None:
    now = int(time.time())
    made = (await exporter.ask("POST", "/sms/export", {"FromTS": now - 60, "ToTS": now})).body
    stranger = await texters.opened(town, "exportless")
    for path in (made["ID"], 999_999):
        answer = await stranger.ask("GET", f"/sms/export/{path}")
        assert answer.says("sluice-no-such-export", status=404)
    assert (await exporter.ask("GET", "/sms/export/seven")).says("mj-0004", "ID")
    assert (await exporter.ask("GET", "/sms/export")).says("mj-0003", "ID")


async def test_a_count_over_whole_days_is_what_going_through_them_finds(town: World) -> None:
    # Given messages of several days, with statuses and reasons
    many = await texters.opened(town, "manydays")
    await many.sent("ShopBot", PHONE)
    await town.pool.execute(
        """
        INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender,
            recipient, country, encoding, segment_count, class, at_least_once,
            segment_price_micro, currency, status, reason, created_at, expires_at, updated_at)
        SELECT least_id(at), account_id, line_id, carrier_id, wallet_id, sender, recipient, country,
            encoding, segment_count, class, at_least_once, segment_price_micro, currency,
            CASE n % 3 WHEN 0 THEN 'delivered' ELSE 'rejected' END,
            CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN 'the carrier refused the sender'
                ELSE 'the carrier refused the message' END, at, at, at
        FROM messages, generate_series(1, 300) n, LATERAL (
            SELECT now() - n * interval '1 hour' AS at) t
        WHERE account_id = $1""",
        many.account_id,
    )

    # Then each way of asking counts them alike
    async def counted(query: str) -> int:
        return int((await many.ask("GET", f"/sms/count{query}")).body["Count"])

    assert await counted("") == 301
    assert (
        await counted("?StatusCode=3") == await counted(f"?StatusCode=3&To=%2B{PHONE[1:]}") == 100
    )
    assert await counted("?StatusCode=10") == await counted("?StatusCode=4") == 100
    assert await counted("?StatusCode=4,10,3,1") == 301
    now = int(time.time())
    for back in (1, 26, 50, 149):
        window = f"FromTS={now - back * 3600 - 1800}&ToTS={now}"
        assert await counted(f"?{window}") == back + 1
        listed = await many.ask("GET", f"/sms?{window}&Limit=0")
        assert len(listed.body["Data"]) == back + 1
