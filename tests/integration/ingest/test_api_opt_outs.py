"""Opt-outs over the API: made, read, ended for a reason, imported; and obeyed at the door."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.ingest.world import NUMBER, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+33612345678"
OTHER = "+33612345679"


def message(to: str) -> dict[str, str]:
    return {"to": to, "text": "hello"}


async def put(town: World, account: str, number: str, body: object = None) -> tuple[int, Any]:
    path = f"/v1/opt-outs/{number}"
    headers = town.bearer(account)
    async with town.client.put(path, headers=headers, json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def delete(town: World, account: str, number: str, query: str) -> int:
    path = f"/v1/opt-outs/{number}{query}"
    async with town.client.delete(path, headers=town.bearer(account)) as answer:
        return answer.status


async def test_who_has_opted_out_is_not_written_to_and_nothing_is_charged(town: World) -> None:
    # Given a phone that an account has opted out, twice
    before = await town.get("alice", "/v1/balance")
    status, made = await put(town, "alice", PHONE, {"reason": "complaint"})
    assert (status, made["number"], made["source"]) == (201, PHONE, "producer")
    assert await put(town, "alice", PHONE, {"reason": "another"}) == (200, made)
    # When messages to it are sent, alone, in a batch, and by another account
    refused = await town.post("alice", "/v1/messages", message(PHONE), 422, key="stop")
    batch = {"messages": [message(OTHER), message(PHONE), message(OTHER)]}
    results = (await town.post("alice", "/v1/messages/batch", batch))["results"]
    await town.post("bob", "/v1/messages", message(PHONE))
    # Then those of this account are refused, the others are sent, and the key is free again
    assert (refused["code"], refused["field"]) == ("opted_out", "to")
    assert PHONE not in refused["detail"]
    assert [each.get("error", {}).get("code") for each in results] == [None, "opted_out", None]
    after = await town.get("alice", "/v1/balance")
    spent = float(before["amount"]) - float(after["amount"])
    assert round(spent, 4) == 2 * 0.0453
    assert await delete(town, "alice", PHONE, "?reason=asked+to+come+back") == 204
    await town.post("alice", "/v1/messages", message(PHONE), 202, key="stop")


async def test_an_end_needs_a_reason_and_is_kept(town: World) -> None:
    # Given an opt-out, made without a word of why
    status, made = await put(town, "alice", PHONE)
    assert status == 201
    # When it is to be ended without a reason, by another account, then rightly, then again
    statuses = [
        await delete(town, "alice", PHONE, ""),
        await delete(town, "alice", PHONE, "?reason="),
        await delete(town, "bob", PHONE, "?reason=mine"),
        await delete(town, "alice", PHONE, "?reason=letter"),
        await delete(town, "alice", PHONE, "?reason=letter"),
    ]
    # Then only the right one is heard, and who did what is kept
    assert statuses == [422, 422, 404, 204, 404]
    kept = await town.pool.fetch(
        "SELECT source, ended_by, end_reason FROM opt_outs WHERE opt_out_id = $1", made["id"]
    )
    assert [tuple(row) for row in kept] == [("producer", "producer", "letter")]
    events = (await town.get("alice", "/v1/events?after=0&limit=1000"))["events"]
    told = [each["type"] for each in events if each.get("opt_out_id") == made["id"]]
    assert told == ["opt_out.created", "opt_out.deleted"]


async def test_a_list_is_imported_twice_and_read_in_pages(town: World) -> None:
    # Given a list with the same phone twice, and what is no phone
    numbers = [PHONE, OTHER, PHONE, "0612345678", NUMBER]
    first = await town.post("bob", "/v1/opt-outs/import", {"numbers": numbers}, 200)
    again = await town.post("bob", "/v1/opt-outs/import", {"numbers": numbers}, 200)
    # Then each phone is out once, and what is none has its own fault
    assert (first["added"], first["known"], again["added"], again["known"]) == (3, 0, 0, 3)
    assert [(one["index"], one["error"]["code"]) for one in again["failed"]] == [
        (3, "invalid_recipient")
    ]
    # And the pages hold all of them, of this account alone; one number is found by itself
    found: list[str] = []
    cursor = ""
    while True:
        page = await town.get("bob", f"/v1/opt-outs?limit=2{cursor}")
        found += [each["number"] for each in page["opt_outs"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor=%2B{page['cursor'][1:]}"
    assert found == [PHONE, OTHER, NUMBER]
    assert (await town.get("alice", "/v1/opt-outs"))["opt_outs"] == []
    one = await town.get("bob", f"/v1/opt-outs?number=%2B{PHONE[1:]}")
    assert [each["number"] for each in one["opt_outs"]] == [PHONE]


async def test_bad_input_is_named_and_stores_nothing(town: World) -> None:
    bad: list[tuple[str, object, str]] = [
        ("import", {"numbers": []}, "wrong_length"),
        ("import", {"numbers": [PHONE] * 501}, "wrong_length"),
        ("import", {"numbers": [PHONE], "reason": ""}, "wrong_length"),
        ("import", {"numbers": [PHONE], "reason": "\0"}, "invalid_reason"),
        ("import", {"numbers": [PHONE], "account": 1}, "unknown_field"),
    ]
    for path, body, code in bad:
        answer = await town.post("poor", f"/v1/opt-outs/{path}", body, 422)
        assert answer["code"] == code
    for number in ("0612345678", "+33", "%00"):
        assert (await put(town, "poor", number))[0] == 422
    assert (await town.get("poor", "/v1/opt-outs?cursor=x", 422))["code"] == "invalid_cursor"
    assert (await town.get("poor", "/v1/opt-outs"))["opt_outs"] == []
