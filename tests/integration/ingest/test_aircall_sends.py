"""The Aircall-shaped API: what is sent by it, refused by it, and no more to be had elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from shared.db import inbound
from shared.runtime import ids
from shared.sms.inbound import Alphabet, InboundText
from tests.integration.ingest import desk as desks
from tests.integration.ingest.desk import CA, FR, GB, US, Answer, Desk
from tests.integration.ingest.world import CREDIT_MICRO, World
from tests.keys import SEALS

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+14155550177"
FRENCH_PHONE = "+33612345678"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(town: World) -> Desk:
    """An account whose numbers serve the API."""
    made = await desks.opened(town, "sending", consent="own", registration_enforced=False)
    for sender in (US, CA, FR, GB):
        assert (await made.configure(sender)).status == 200
    return made


async def _stored(town: World, message_id: str) -> Any:
    return await town.pool.fetchrow(
        "SELECT * FROM messages WHERE message_id = $1", UUID(message_id)
    )


def _is_refused(answer: Answer, status: int, key: str) -> bool:
    body = answer.body
    return (answer.status, body["key"], body["error"]) == (status, key, key)


async def test_a01_a_message_is_sent_over_http_and_answered_as_clients_know(
    town: World, desk: Desk
) -> None:
    sent = await desk.send(US, PHONE, "Your table is booked.")
    assert sent.status == 200
    shown = sent.body
    assert (shown["status"], shown["direction"]) == ("pending", "outbound")
    assert (shown["raw_digits"], shown["body"]) == (PHONE[1:], "Your table is booked.")
    assert shown["media_url"] == []
    assert shown["created_at"] == shown["sent_at"] == shown["updated_at"] > 1_700_000_000_000
    number = (await desk.ask("GET", f"/v1/numbers/{desk.ids[US]}")).body["number"]
    assert shown["number"] == number
    assert shown["direct_link"] == f"{number['direct_link']}/messages/{shown['id']}"
    stored = await _stored(town, shown["id"])
    assert (stored["sender"], stored["recipient"]) == (US, PHONE)
    assert await town.pool.fetchval(
        "SELECT count(*) FROM work WHERE message_id = $1", UUID(shown["id"])
    )


async def test_a_retry_without_a_key_is_a_second_message_and_with_one_it_is_not(
    town: World, desk: Desk
) -> None:
    twice = [(await desk.send(US, PHONE, "again")).body["id"] for _ in range(2)]
    assert twice[0] != twice[1]
    once = [await desk.send(US, PHONE, "secret words", key="order-1") for _ in range(2)]
    assert once[0].body == once[1].body
    assert once[0].body["body"] == "secret words"
    other = await desk.send(US, PHONE, "other words", key="order-1")
    assert _is_refused(other, 422, "UnprocessableEntity")

    # And what is kept under the key says nothing of the text
    kept = await town.pool.fetch("SELECT answer FROM idempotency_keys")
    assert not [row for row in kept if b"secret words" in bytes(row["answer"])]


@pytest.mark.parametrize(
    ("to", "text", "members", "status", "key"),
    [
        ("4155550177", "x", {}, 400, "InvalidPayload"),
        ("+1415", "x", {}, 400, "InvalidPayload"),
        (PHONE, "", {}, 400, "InvalidPayload"),
        (PHONE, None, {}, 400, "InvalidPayload"),
        (PHONE, "a" * 1_601, {}, 400, "InvalidPayload"),
        (PHONE, "\0", {}, 400, "InvalidPayload"),
        (PHONE, 7, {}, 400, "InvalidPayload"),
        (PHONE, "x", {"subject": "x"}, 400, "InvalidPayload"),
        (PHONE, "x", {"mediaUrl": "https://example.com/a.png"}, 400, "InvalidPayload"),
        (PHONE, "x", {"mediaUrl": ["http://10.0.0.1/a.png"]}, 400, "InvalidPayload"),
        (PHONE, "x", {"mediaUrl": ["https://example.com/a.png"]}, 403, "Forbidden"),
        (US, "x", {}, 400, "SameDestinationAsSender"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_costs_nothing(
    town: World,
    desk: Desk,
    to: str,
    text: Any,
    members: dict[str, Any],
    status: int,
    key: str,
) -> None:
    before = await town.books()
    refused = await desk.send(US, to, text, **members)
    assert _is_refused(refused, status, key), refused
    assert PHONE not in refused.body["message"]
    assert await town.books() == before


async def test_a_text_may_have_1600_characters_and_670_from_a_french_number(
    town: World, desk: Desk
) -> None:
    for sender, to, text, segment_count in (
        (US, PHONE, "a" * 1_600, 11),
        (US, PHONE, "ж" * 1_600, 25),
        (FR, FRENCH_PHONE, "a" * 670, 5),
    ):
        sent = await desk.send(sender, to, text)
        assert sent.status == 200, sent
        stored = await _stored(town, sent.body["id"])
        assert stored["segment_count"] == segment_count
    refused = await desk.send(FR, FRENCH_PHONE, "a" * 671)
    assert _is_refused(refused, 400, "InvalidPayload")
    assert "670" in refused.body["message"]


async def test_media_are_refused_where_no_carrier_carries_them(town: World, desk: Desk) -> None:
    before = await town.books()
    refused = await desk.send(GB, "+447400654321", "x", mediaUrl=["https://example.com/a.png"])
    assert _is_refused(refused, 422, "MediaNotSupported")
    assert "MMS" in refused.body["message"]
    assert await town.books() == before


async def test_a_message_that_cannot_be_paid_for_is_refused(town: World) -> None:
    broke = await desks.opened(town, "broke", consent="own", credit_micro=0)
    assert (await broke.configure(US)).status == 200
    before = await town.books()
    for key in (None, "k"):
        refused = await broke.send(US, PHONE, "x", key=key)
        assert _is_refused(refused, 422, "InsufficientFunds")
    assert await town.books() == before


async def test_more_than_the_line_may_ever_send_is_refused(town: World, desk: Desk) -> None:
    # Given a line that may send one segment an hour
    await town.pool.execute(
        "UPDATE lines SET hour_limit = 1 WHERE line_id = $1", desk.ids[desks.US_UNREGISTERED]
    )
    await town.pool.execute(
        "UPDATE lines SET mode = 'api' WHERE line_id = $1", desk.ids[desks.US_UNREGISTERED]
    )
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    async with asyncio.timeout(10):
        path = f"/v1/numbers/{desk.ids[desks.US_UNREGISTERED]}/messages/configuration"
        while (await desk.ask("GET", path)).status != 200:
            await asyncio.sleep(0.1)
    refused = await desk.send(desks.US_UNREGISTERED, PHONE, "a" * 200)
    assert _is_refused(refused, 403, "Forbidden")


# Modes -------------------------------------------------------------------------------------------


async def test_a_path_is_for_numbers_in_its_mode_alone(town: World) -> None:
    own = await desks.opened(town, "modes", consent="own", registration_enforced=False)
    native = f"/v1/numbers/{own.ids[US]}/messages/native/send"
    body = {"to": PHONE, "body": "x"}

    # Given a number that serves the application
    before = await town.books()
    assert _is_refused(await own.send(US, PHONE, "x"), 403, "LineIsNotNativeException")
    assert await town.books() == before
    sent = await own.ask("POST", native, body | {"agentId": 7})
    assert (sent.status, sent.body["status"]) == (200, "pending")

    # When it is configured for the API, it is the other way round
    await own.configure(US)
    assert _is_refused(await own.ask("POST", native, body), 403, "LineIsNotNativeException")
    assert (await own.send(US, PHONE, "x")).status == 200


async def test_a09_the_application_neither_sends_nor_reads_on_a_configured_number(
    town: World,
) -> None:
    # Given a number that serves the application, on which something was sent and received
    own = await desks.opened(town, "nine", consent="own", registration_enforced=False)
    wanted = {"to": FRENCH_PHONE, "text": "x", "from": FR}
    sent = await town.post("nine", "/v1/messages", wanted)
    path = f"/v1/messages/{sent['id']}"
    await _receive(town, FR, "Bonjour")
    assert len((await town.get("nine", "/v1/inbound"))["inbound"]) == 1
    assert len((await town.get("nine", "/v1/messages"))["messages"]) == 1

    # When it is configured for the API
    await own.configure(FR)
    await _receive(town, FR, "Encore")

    # Then the native API neither sends from it nor tells what is sent to it
    assert (await town.post("nine", "/v1/messages", wanted, 403))["code"] == "wrong_mode"
    for each, ending in (("get", ""), ("get", "/trace"), ("post", "/cancel")):
        refused = (
            await town.get("nine", path + ending, 403)
            if each == "get"
            else await town.post("nine", path + ending, None, 403)
        )
        assert refused["code"] == "wrong_mode"
    assert (await town.get("nine", "/v1/messages"))["messages"] == []
    assert (await town.get("nine", "/v1/inbound"))["inbound"] == []

    # And once it is not, all is as before
    await own.release(FR)
    assert (await town.get("nine", path))["id"] == sent["id"]
    assert len((await town.get("nine", "/v1/inbound"))["inbound"]) == 2


async def _receive(town: World, recipient: str, text: str) -> None:
    account_id = await town.pool.fetchval("SELECT account_id FROM accounts WHERE name = 'nine'")
    message = inbound.new_inbound(
        ids.uuid7(),
        (1, FRENCH_PHONE, recipient),
        InboundText(text, None, Alphabet.GSM7, ()),
        1,
        None,
    )
    async with town.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE lines SET keyword = $1 WHERE account_id = $2 AND sender = $3",
            text.upper(),
            account_id,
            recipient,
        )
        await inbound.insert(connection, SEALS, [message])


# Money -------------------------------------------------------------------------------------------


async def test_a23_a24_both_doors_have_one_price_and_one_ledger(town: World) -> None:
    # Given a number, and a message from it by the application
    own = await desks.opened(town, "doors", consent="own", registration_enforced=False)
    native = await town.post("doors", "/v1/messages", {"to": PHONE, "text": "a" * 200, "from": US})

    # When the same is sent by the API
    await own.configure(US)
    sent = await own.send(US, PHONE, "a" * 200)
    assert sent.status == 200

    # Then it costs the same, out of the same wallet, and both are in one sum (A23, A24)
    rows = await town.pool.fetch(
        "SELECT message_id, kind, from_wallet_id, to_wallet_id, sum(amount_micro)::bigint AS micro,"
        " count(*) AS count FROM transfers WHERE message_id = ANY ($1::uuid[])"
        " GROUP BY 1, 2, 3, 4",
        [UUID(native["id"]), UUID(sent.body["id"])],
    )
    assert len(rows) == 2
    by_app, by_api = ({**row, "message_id": None} for row in rows)
    assert by_app == by_api
    assert by_app["micro"] == 2 * desks.PRICES["US"]
    spent = CREDIT_MICRO - 4 * desks.PRICES["US"]
    balance = await town.get("doors", "/v1/balance")
    assert int(float(balance["amount"]) * 1_000_000) == spent


async def test_a25_messages_to_the_us_and_canada_are_charged(town: World, desk: Desk) -> None:
    for sender, to, country in ((US, PHONE, "US"), (CA, "+14165550177", "CA")):
        sent = await desk.send(sender, to, "x")
        stored = await _stored(town, sent.body["id"])
        assert stored["country"] == country
        assert stored["segment_price_micro"] == desks.PRICES[country] > 0


# Account webhooks --------------------------------------------------------------------------------


async def test_account_webhooks_are_made_changed_and_deleted(town: World, desk: Desk) -> None:
    url = "https://hooks.example.com/in"
    made = await desk.ask("POST", "/v1/webhooks", {"url": url, "custom_name": "CRM"})
    assert made.status == 201
    webhook = made.body["webhook"]
    assert webhook["events"] == [
        "message.sent",
        "message.received",
        "message.status_updated",
    ]
    assert (webhook["url"], webhook["active"], webhook["custom_name"]) == (url, True, "CRM")
    path = f"/v1/webhooks/{webhook['webhook_id']}"
    assert (await desk.ask("GET", path)).body == made.body
    page = (await desk.ask("GET", "/v1/webhooks")).body
    assert (page["meta"]["total"], page["webhooks"]) == (1, [webhook])

    # When events are removed and added, and it is switched off
    for body, events in (
        ({"events": ["message.sent"], "events_action": "remove"}, webhook["events"][1:]),
        ({"events": ["message.sent"]}, ["message.sent"]),
        (
            {"events": ["message.received"], "events_action": "add"},
            ["message.sent", "message.received"],
        ),
    ):
        changed = await desk.ask("PUT", path, body)
        assert (changed.status, changed.body["webhook"]["events"]) == (200, events)
    assert (await desk.ask("PUT", path, {"active": False})).body["webhook"]["active"] is False

    # Then the native API does not know it, nor does another account, and it goes once
    assert (await town.get("sending", "/v1/webhooks")) == {"webhooks": []}
    assert (await town.get("sending", path, 404))["code"] == "no_such_webhook"
    assert (await desk.ask("DELETE", path)).status == 204
    for method in ("GET", "DELETE"):
        assert _is_refused(await desk.ask(method, path), 404, "NotFound")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://hooks.example.com/"},
        {"url": "https://169.254.169.254/"},
        {"url": "https://hooks.example.com/", "events": ["call.created"]},
        {"url": "https://hooks.example.com/", "events": "message.sent"},
        [],
    ],
)
async def test_account_webhooks_of_bad_input_are_refused(desk: Desk, body: object) -> None:
    refused = await desk.ask("POST", "/v1/webhooks", body)
    assert _is_refused(refused, 400, "InvalidPayload")
