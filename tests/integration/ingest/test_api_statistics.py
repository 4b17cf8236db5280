"""Statistics, counts and exports as producers ask for them; each sees its own alone."""

from __future__ import annotations

import csv
import io
import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.dlr.exports import ExportWriter
from shared.db import message_statistics, segments, watch
from shared.sms.states import SegmentState
from tests import claims
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = datetime.now(UTC).date()
_numbers = itertools.count(10_000)


async def _send(town: World, account: str, **members: str) -> str:
    body = {"to": f"+336123{next(_numbers)}", "text": "hi"} | members
    sent = await town.post(account, "/v1/messages", body)
    return str(sent["id"])


async def _end(town: World, message_id: str, word: str, reason: str = "", code: str = "") -> None:
    """Let a carrier take a message, and say how it ended."""
    subject = uuid.UUID(message_id)
    async with town.pool.acquire() as opened:
        await claims.claim(opened, [subject], uuid.UUID(int=1))
        for state in (SegmentState.SUBMITTED, SegmentState(word)):
            ended = state != SegmentState.SUBMITTED
            said = segments.Evidence(
                subject,
                1,
                state,
                accepted=True,
                code=code if ended else "",
                reason=reason if ended else "",
            )
            async with opened.transaction():
                await segments.settle(opened, [said])


async def _write_exports(town: World) -> None:
    writer = ExportWriter(town.pool, await watch.Watch.start(town.pool))
    await writer.write_all()


async def _text(town: World, account: str, path: str, **headers: str) -> tuple[int, str, str]:
    asked = town.client.get(path, headers=town.bearer(account) | headers)
    async with asked as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_m52_m53_m54_m55_statistics_tell_outcomes_with_cause_and_code(town: World) -> None:
    # Given one message delivered, one under way, one that the carrier could not deliver
    delivered, _, refused = [await _send(town, "bob") for _ in range(3)]
    await _end(town, delivered, "delivered", code="000")
    await _end(town, refused, "undelivered", "the carrier could not deliver it", "034")
    # When they are asked for by status and cause
    found = await town.get("bob", "/v1/statistics?by=day,status,reason,code")
    # Then each outcome has its message, its details where a cause was reported, and the code
    told = {
        row["status"]: (row["delivered"], row["pending"], row["rejected"], row["details"])
        for row in found["rows"]
    }
    assert told == {
        "delivered": (1, 0, 0, ""),
        "queued": (0, 1, 0, ""),
        "undelivered": (0, 0, 1, "the carrier could not deliver it"),
    }
    assert {row["code"] for row in found["rows"]} == {"000", "", "034"}
    assert {row["day"] for row in found["rows"]} == {str(TODAY)}
    assert found["totals"] == [
        {
            "currency": "EUR",
            "messages": 3,
            "segments": 3,
            "cost": "0.1359",
            "delivered": 1,
            "pending": 1,
            "rejected": 1,
        }
    ]
    # And the message itself says the cause and the code
    message = await town.get("bob", f"/v1/messages/{refused}")
    assert (message["reason"], message["parts"][0]["code"]) == (
        "the carrier could not deliver it",
        "034",
    )


async def test_m51_three_months_and_no_more_are_told(town: World) -> None:
    found = await town.get("lineless", "/v1/statistics")
    begin = found["first_day"]
    assert 89 <= (TODAY - datetime.fromisoformat(begin).date()).days <= 92
    assert (found["last_day"], found["rows"], found["complete"]) == (str(TODAY), [], True)
    early = datetime.fromisoformat(begin).date() - timedelta(days=1)
    refused = await town.get("lineless", f"/v1/statistics?first_day={early}", 422)
    assert (refused["code"], refused["field"]) == ("out_of_range", "first_day")


async def test_m08_a_main_account_is_told_of_its_sub_accounts_and_nobody_of_others(
    town: World,
) -> None:
    # Given a sub-account that has sent a message
    await _send(town, "bob")
    sub = await town.post("bob", "/v1/accounts", {"name": f"shop-{next(_numbers)}"}, 201)
    await town.pool.execute(
        "INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender,"
        " recipient, country, encoding, segment_count, class, at_least_once, segment_price_micro,"
        " currency, status, created_at, expires_at, updated_at)"
        " SELECT gen_random_uuid(), $1, line_id, carrier_id, wallet_id, sender, recipient, country,"
        " encoding, 3, class, at_least_once, segment_price_micro, currency, status, created_at,"
        " expires_at, updated_at FROM messages LIMIT 1",
        sub["id"],
    )
    # When the main account asks for it, it is told; another account is not
    path = f"/v1/statistics?account_id={sub['id']}"
    (row,) = (await town.get("bob", path))["rows"]
    assert (row["messages"], row["segments"]) == (1, 3)
    assert (await town.get("alice", path, 404))["code"] == "no_such_account"


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("by=moon", "unknown_group", "by"),
        ("by=", "invalid_value", "by"),
        ("country=france", "invalid_value", "country"),
        ("first_day=yesterday", "invalid_value", "first_day"),
        (f"first_day={TODAY}&last_day={TODAY - timedelta(days=1)}", "out_of_range", "last_day"),
        ("status=lost", "invalid_choice", "status"),
        ("colour=red", "unknown_field", "colour"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_the_parameter(
    town: World, query: str, code: str, field: str
) -> None:
    refused = await town.get("alice", f"/v1/statistics?{query}", 422)
    assert refused["field"] == field
    assert refused["code"] == code


async def test_m56_statistics_are_downloaded_as_csv(town: World) -> None:
    await _send(town, "special", to="+33612340001")
    status, kind, text = await _text(
        town, "special", "/v1/statistics?by=day,country,class", Accept="text/csv"
    )
    assert (status, kind) == (200, "text/csv; charset=utf-8")
    assert text.startswith('"day","country","class","currency","messages",')
    (row,) = csv.DictReader(io.StringIO(text))
    assert row == {
        "day": str(TODAY),
        "country": "FR",
        "class": "normal",
        "currency": "EUR",
        "messages": "1",
        "segments": "1",
        "cost": "0.0453",
        "delivered": "0",
        "pending": "1",
        "rejected": "0",
    }


async def test_m48_messages_are_counted_by_any_filter(town: World) -> None:
    # Given three messages, one of them delivered, one with a reference
    ids = [await _send(town, "alice") for _ in range(2)]
    ids.append(await _send(town, "alice", reference="order-count", to="+33612340077"))
    await _end(town, ids[0], "delivered")
    before = datetime.now(UTC) - timedelta(hours=1)

    async def count(query: str = "") -> int:
        found = await town.get("alice", f"/v1/messages/count?{query}")
        return int(found["count"])

    # Then each filter counts those that fit, whether statistics know them or messages do
    everything = await count()
    moment = before.isoformat().replace("+00:00", "Z")
    assert await count("status=delivered") == await count("outcome=delivered") == 1
    assert await count("outcome=pending") == everything - 1
    assert await count("status=delivered&outcome=pending") == 0
    assert await count("reference=order-count") == await count("to=%2B33612340077") == 1
    assert await count(f"created_from={moment}") == everything
    assert await count(f"created_until={moment}") == 0
    assert await count("country=DE") == await count("class=bulk") == 0
    # And another account counts its own
    assert (await town.get("lineless", "/v1/messages/count"))["count"] == 0
    # And adding up changes nothing
    await message_statistics.add_up(town.pool)
    assert await count() == everything


async def _exported(town: World, account: str, **members: object) -> dict[str, Any]:
    """An export of the last day, as it is when it is written."""
    from_at = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    ordered = await town.post(account, "/v1/exports", {"created_from": from_at} | members)
    assert (ordered["state"], ordered["progress"], ordered["url"]) == ("pending", 0, None)
    await _write_exports(town)
    found: dict[str, Any] = await town.get(account, f"/v1/exports/{ordered['id']}")
    assert (found["state"], found["progress"]) == ("completed", 100)
    return found


async def test_m49_an_export_lists_messages_and_formulas_are_inert(town: World) -> None:
    # Given messages whose references a spreadsheet would compute
    references = ["=1+1", "@SUM(A1)", "-1", "+1", '"quoted", said', "plain", "\tx"]
    for reference in references:
        await _send(town, "alice", reference=reference)
    # When they are exported
    export = await _exported(town, "alice")
    status, kind, text = await _text(town, "alice", f"/v1/exports/{export['id']}/content")
    # Then each is there, as its list says; what would be computed begins with an apostrophe
    assert (status, kind, len(text.encode())) == (200, "text/csv; charset=utf-8", export["size"])
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == export["rows"]
    assert {row["reference"] for row in rows} >= {
        "'=1+1",
        "'@SUM(A1)",
        "'-1",
        "+1",
        '"quoted", said',
        "plain",
        "'\tx",
    }
    listed = (await town.get("alice", "/v1/messages?limit=200"))["messages"]
    told = {row["id"]: row for row in rows}
    for each in listed:
        row = told[each["id"]]
        for name in ("from", "to", "country", "class", "status", "price", "currency", "created_at"):
            assert row[name] == each[name], name
    # And no cell but a number's begins like a formula
    cells = {cell for row in rows for cell in row.values()}
    assert {cell for cell in cells if cell[:1] in "=+-@\t\r" and cell} <= {
        cell for cell in cells if cell[1:].isdecimal()
    }


async def test_an_export_in_json_has_a_line_a_message(town: World) -> None:
    message_id = await _send(town, "bob", reference="=json")
    export = await _exported(town, "bob", format="jsonl", status="queued")
    _, kind, text = await _text(town, "bob", f"/v1/exports/{export['id']}/content")
    assert kind == "application/x-ndjson"
    rows = [json.loads(line) for line in text.splitlines()]
    assert {row["status"] for row in rows} == {"queued"}
    (row,) = [row for row in rows if row["id"] == message_id]
    assert (row["reference"], row["segments"], row["send_at"]) == ("=json", 1, None)


async def test_m56_statistics_are_exported(town: World) -> None:
    await _send(town, "special")
    export = await _exported(town, "special", kind="statistics")
    _, _, text = await _text(town, "special", f"/v1/exports/{export['id']}/content")
    rows = list(csv.DictReader(io.StringIO(text)))
    total = (await town.get("special", "/v1/messages/count"))["count"]
    assert sum(int(row["messages"]) for row in rows) == total
    assert {row["day"] for row in rows} == {str(TODAY)}


async def test_a_link_opens_its_file_alone_and_not_for_ever(town: World) -> None:
    # Given a file
    await _send(town, "bob")
    export = await _exported(town, "bob")
    assert export["url"].startswith(f"http://127.0.0.1:{town.port}/v1/export-files/")
    # When whoever has the link asks without a token
    async with town.client.get(export["url"]) as answer:
        text = await answer.text()
    # Then it is the file
    assert (answer.status, len(text.encode())) == (200, export["size"])
    # And no link that was changed is good, nor one that has run out
    number, until, seal = export["url"].rpartition("/")[2].split(".")
    bad = [
        f"{int(number) + 1}.{until}.{seal}",
        f"{number}.{int(until) + 1}.{seal}",
        f"{number}.{until}.{seal[:-1]}A" if seal[-1] != "A" else f"{number}.{until}.{seal[:-1]}B",
        "nonsense",
        f"{number}.{until}",
    ]
    for ticket in bad:
        async with town.client.get(f"/v1/export-files/{ticket}") as answer:
            assert answer.status == 404, ticket
    # And when the export is deleted, its link opens nothing
    path = f"/v1/exports/{export['id']}"
    async with town.client.delete(path, headers=town.bearer("bob")) as answer:
        assert answer.status == 204
    async with town.client.get(export["url"]) as answer:
        assert answer.status == 404
    await town.get("bob", path, 404)


async def test_another_accounts_export_is_not_there(town: World) -> None:
    export = await _exported(town, "bob")
    path = f"/v1/exports/{export['id']}"
    for tail in ("", "/content"):
        assert (await town.get("alice", path + tail, 404))["code"] == "no_such_export"
    async with town.client.delete(path, headers=town.bearer("alice")) as answer:
        assert answer.status == 404
    assert export["id"] not in {
        each["id"] for each in (await town.get("alice", "/v1/exports"))["exports"]
    }
    for wrong in ("0", "x", "9" * 19, "-1"):
        await town.get("alice", f"/v1/exports/{wrong}", 404)


async def test_a_file_that_is_not_written_yet_is_not_served(town: World) -> None:
    from_at = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    ordered = await town.post("capped", "/v1/exports", {"created_from": from_at})
    refused = await town.get("capped", f"/v1/exports/{ordered['id']}/content", 409)
    assert refused["code"] == "not_completed"


async def test_an_account_has_so_many_exports_under_way_and_no_more(town: World) -> None:
    body = {"created_from": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    for _ in range(5):
        await town.post("poor", "/v1/exports", body)
    refused = await town.post("poor", "/v1/exports", body, 409)
    assert refused["code"] == "too_many_exports"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "created_from"),
        ({"created_from": "2020-01-01T00:00:00Z"}, "out_of_range", "created_from"),
        ({"created_from": "2999-01-01T00:00:00Z"}, "out_of_range", "created_until"),
        ({"created_from": "now"}, "invalid_time", "created_from"),
        ({"created_from": f"{TODAY}T00:00:00Z", "kind": "money"}, "invalid_choice", "kind"),
        ({"created_from": f"{TODAY}T00:00:00Z", "colour": 1}, "unknown_field", "colour"),
    ],
)
async def test_an_order_that_is_wrong_is_refused_and_stores_nothing(
    town: World, body: dict[str, object], code: str, field: str
) -> None:
    refused = await town.post("lineless", "/v1/exports", body, 422)
    assert refused["field"] == field
    assert refused["code"] == code
    assert (await town.get("lineless", "/v1/exports"))["exports"] == []
