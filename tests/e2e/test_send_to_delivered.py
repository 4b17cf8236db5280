"""The whole way of a message, from the producer's request to the carrier's word and back."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests import fleet
from tests.e2e.producer import Producer
from tests.ports import free_port

PRICE = Decimal("0.0453")
THROTTLED_SECONDS = 8.0
TO = "+33612345678"
PROBED_BY_WEB, PROBED_BY_SMPP = "+33612345771", "+447400123772"


def submits(platform: fleet.Fleet, recipient: str) -> list[dict[str, Any]]:
    """What the carrier took for a recipient, in order."""
    return [entry for entry in platform.journal() if entry["recipient"] == recipient]


async def test_a_message_is_delivered_when_it_is_sent(
    platform: fleet.Fleet, shop: Producer
) -> None:
    before = await shop.balance()
    # When one message is sent.
    accepted = await shop.send("+33612345101", "Your parcel is here.", reference="order-1")
    # Then it is paid for at once, reaches the carrier as it was written, and its receipt is told.
    assert (accepted["status"], accepted["segments"]) == ("queued", 1)
    assert Decimal(accepted["price"]) == PRICE
    assert Decimal(accepted["balance"]["amount"]) == before - PRICE
    message = await shop.until(accepted["id"], "delivered")
    (submit,) = submits(platform, "+33612345101")
    assert (submit["whole"], submit["source"]) == ("Your parcel is here.", "Sluice")
    assert message["reference"] == "order-1"
    assert [part["state"] for part in message["parts"]] == ["delivered"]
    assert await shop.statuses(accepted["id"]) == ["submitted", "delivered"]


async def test_each_message_of_a_batch_has_its_own_fate_when_one_is_bad(
    platform: fleet.Fleet, shop: Producer
) -> None:
    before = await shop.balance()
    texts = {"+33612345111": "one", "+33612345112": "two", "+33612345113": "three"}
    messages = [{"to": to, "text": text} for to, text in texts.items()]
    messages.insert(1, {"to": "+33", "text": "to nobody"})
    # When a batch with one bad number is sent.
    status, answer = await shop.post("/v1/messages/batch", {"messages": messages})
    # Then the others are delivered, and only they are paid for.
    assert status == 202
    results = answer["results"]
    assert [("id" in result, "error" in result) for result in results] == [
        (True, False), (False, True), (True, False), (True, False)
    ]  # fmt: skip
    assert results[1]["error"]["field"] == "to"
    assert Decimal(answer["balance"]["amount"]) == before - 3 * PRICE
    for result in results:
        if "id" in result:
            await shop.until(result["id"], "delivered")
    assert {to: submits(platform, to)[0]["whole"] for to in texts} == texts


LONG = "The counter is open from nine to five; bring {an identity card} and 20€. " * 5
TEXTS = {
    "two parts": ("+33612345121", LONG[:170]),
    "five parts, extension characters": ("+33612345122", LONG[:700]),
    "accents": ("+33612345123", "Déjà prêt à être livré, où ça? Ñandú, Ærø, ß"),
    "emoji": ("+33612345124", "📦 arrived ✅"),
    "emoji in many parts": ("+33612345125", "📦 Ваша посылка прибыла 👩‍👩‍👧 " * 8),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_the_phone_reads_what_was_written_when_a_text_takes_several_parts(
    platform: fleet.Fleet, shop: Producer, name: str
) -> None:
    to, text = TEXTS[name]
    # When it is sent.
    accepted = await shop.send(to, text)
    message = await shop.until(accepted["id"], "delivered")
    # Then the parts, by their headers, make the text again, and each was counted and charged.
    parts = submits(platform, to)
    assert [part.get("number", 1) for part in parts] == list(range(1, accepted["segments"] + 1))
    assert {part.get("total", 1) for part in parts} == {accepted["segments"]}
    assert parts[-1]["whole"] == text
    assert len(message["parts"]) == accepted["segments"]
    assert Decimal(accepted["price"]) == PRICE * accepted["segments"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "0612345678"}, "invalid_recipient"),
        ({"text": ""}, "empty_text"),
        ({"text": "x" * 766}, "text_too_long"),
        ({"from": "Nobody"}, "unknown_sender"),
        ({"max_price": "0.01"}, "over_max_price"),
        ({"to": "+8613800138000"}, "unsupported_country"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_nothing_is_charged_when_a_message_is_refused(
    shop: Producer, fields: dict[str, str], code: str
) -> None:
    before = await shop.balance()
    body = {"to": TO, "text": "Your parcel is here.", **fields}
    status, problem = await shop.post("/v1/messages", body)
    assert (status, problem["code"]) == (422, code)
    assert await shop.balance() == before


async def test_a_key_is_charged_once_when_its_request_is_repeated(shop: Producer) -> None:
    key = {"Idempotency-Key": "order-77"}
    body = {"to": "+33612345131", "text": "Once."}
    first = await shop.post("/v1/messages", body, key)
    between = await shop.balance()
    assert await shop.post("/v1/messages", body, key) == first
    assert await shop.balance() == between
    status, problem = await shop.post("/v1/messages", {**body, "text": "Twice?"}, key)
    assert (status, problem["code"]) == (422, "key_reused")


@pytest.mark.parametrize(
    ("ending", "status", "refunded"),
    [
        ("00001", "delivered", False),
        ("00002", "undelivered", False),
        ("00003", "expired", False),
        ("00004", "rejected", False),
        ("00005", "rejected", True),
        ("00006", "delivered", False),
        ("00007", "in_doubt", False),
        ("00008", "in_doubt", False),
        ("00009", "delivered", False),
        ("00010", "submitted", False),
    ],
)
async def test_the_producer_reads_the_carriers_word_when_it_is_given(
    shop: Producer, ending: str, status: str, refunded: bool
) -> None:
    before = await shop.balance()
    # When a message goes to a number that brings this fate about.
    accepted = await shop.send(f"+33612{ending[-1]}{ending}", "What will become of me?")
    # A doubt lasts until the receipt is matched, which may be between two looks at it.
    ends = ("delivered",) if status == "in_doubt" else ()
    message = await shop.until(accepted["id"], status, *ends)
    # Then it is refunded exactly when no carrier ever took it.
    (part,) = message["parts"]
    assert part["refunded"] is refunded
    assert await shop.balance() == before - (0 if refunded else PRICE)
    heard = await shop.statuses(accepted["id"])
    assert heard[-1] == status or heard[-2:] == [status, *ends]


async def test_a_throttled_message_goes_on_within_seconds_when_the_carrier_takes_it_again(
    shop: Producer,
) -> None:
    # Given a number that is throttled twice before it is taken, and tried every second.
    began = time.monotonic()
    ids = [(await shop.send(f"+33612{n}00006", "Patience."))["id"] for n in range(3)]
    # Then it does not wait for the sweep that looks for what a broker has lost.
    for message_id in ids:
        await shop.until(message_id, "delivered")
    assert time.monotonic() - began < THROTTLED_SECONDS


async def test_a_scheduled_message_waits_for_its_time_when_send_at_is_given(
    platform: fleet.Fleet, shop: Producer
) -> None:
    # When a message is to be sent in two seconds.
    due = datetime.now(UTC) + timedelta(seconds=2)
    accepted = await shop.send("+33612345141", "Not before time.", send_at=due.isoformat())
    # Then it is paid for, waits, and goes out when its time has come.
    assert accepted["status"] == "scheduled"
    assert (await shop.message(accepted["id"]))["status"] == "scheduled"
    await shop.until(accepted["id"], "delivered")
    (submit,) = submits(platform, "+33612345141")
    assert submit["t"] >= due.timestamp() * 1000
    assert await shop.statuses(accepted["id"]) == ["queued", "submitted", "delivered"]


async def test_a_message_is_refunded_when_its_carrier_is_away_for_longer_than_it_is_valid(
    platform: fleet.Fleet, shop: Producer
) -> None:
    # Given that US numbers are reached over a carrier that is not there.
    platform.apply(ABSENT.format(port=free_port()), response_seconds=3.0)
    await routed(platform)
    before = await shop.balance()
    # When a message is valid for two seconds only.
    accepted = await shop.send("+12025550123", "Now or never.", valid_for=2)
    message = await shop.until(accepted["id"], "expired")
    # Then it was never sent, and costs nothing.
    assert submits(platform, "+12025550123") == []
    assert [part["refunded"] for part in message["parts"]] == [True]
    assert await shop.balance() == before


ABSENT = """
[[carrier]]
name = "absent"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "nobody"
password = "nothing"

[[route]]
country = "US"
carrier = "absent"
priority = 1
"""
EFFECTIVE_SECONDS = 2.0


async def routed(platform: fleet.Fleet) -> None:
    """Let the time pass in which every process must have noticed a change."""
    await asyncio.sleep(EFFECTIVE_SECONDS)
    assert platform.ended() == []


async def test_a17_running_processes_follow_within_two_seconds_when_a_file_is_applied(
    platform: fleet.Fleet, shop: Producer
) -> None:
    # Given a country nobody can be reached in, and a line that may send one message an hour.
    gate = fleet.line("shop", "Gate", limits=(1, 10, 10))
    status, problem = await shop.post("/v1/preview", {"to": "+393123456789", "text": "Ciao"})
    assert (status, problem["code"]) == (422, "unsupported_country")
    # When the operator gives that country a price, then ingest knows it within two seconds.
    italy = '[[price]]\ncountry = "IT"\ncurrency = "EUR"\namount = "0.09"\n'
    platform.apply(gate + italy, response_seconds=3.0)
    applied = time.monotonic()
    while (await shop.post("/v1/preview", {"to": "+393123456789", "text": "Ciao"}))[0] != 200:
        await asyncio.sleep(0.02)
        assert time.monotonic() - applied < EFFECTIVE_SECONDS
    # Given that the line is full and a message waits.
    await shop.send("+33612345151", "First.", **{"from": "Gate"})
    second = await shop.send("+33612345152", "Second.", **{"from": "Gate"})
    await shop.until(second["id"], "parked")
    # When the operator widens the line, then the dispatcher lets it go.
    platform.apply(fleet.line("shop", "Gate", limits=(5, 10, 10)), response_seconds=3.0)
    await shop.until(second["id"], "delivered")
    assert await shop.statuses(second["id"]) == ["parked", "queued", "submitted", "delivered"]
    # Then the limiter tells the account what it has left, by the segment.
    await routed(platform)
    third = await shop.send("+33612345153", "Third. " * 30, **{"from": "Gate"})
    await shop.until(third["id"], "delivered")
    _, page = await shop.get("/v1/lines")
    (gate_id,) = [line["id"] for line in page["lines"] if line["sender"] == "Gate"]
    _, shown = await shop.get(f"/v1/lines/{gate_id}/limits")
    hour = shown["limits"][0]["windows"][0]
    assert (shown["limits"][0]["source"], hour["limit"]) == ("limiter", 5)
    assert (hour["used"], hour["left"]) == (4, 1)
    # When the operator narrows the line, then the next message waits.
    platform.apply(fleet.line("shop", "Gate", limits=(4, 10, 10)), response_seconds=3.0)
    await routed(platform)
    fourth = await shop.send("+33612345154", "Fourth.", **{"from": "Gate"})
    await shop.until(fourth["id"], "parked")


async def test_a_carrier_over_http_takes_parts_and_calls_back_when_gb_is_sent_to(
    platform: fleet.Fleet, shop: Producer
) -> None:
    # When a text of three parts goes to a country behind a web API.
    text = LONG[:400]
    accepted = await shop.send("+447400123456", text)
    message = await shop.until(accepted["id"], "delivered")
    # Then the carrier had it all over HTTP, and its signed calls were believed.
    parts = submits(platform, "+447400123456")
    assert {part["face"] for part in parts} == {"http"}
    assert parts[-1]["whole"] == text
    assert [part["state"] for part in message["parts"]] == ["delivered"] * accepted["segments"]
    # And a refusal of that carrier ends the message, unpaid.
    refused = await shop.send("+447400100005", "Refused.")
    ended = await shop.until(refused["id"], "rejected")
    assert [part["refunded"] for part in ended["parts"]] == [True]
    # And a bad end is told as it is.
    undelivered = await shop.send("+447400100002", "Never arrives.")
    await shop.until(undelivered["id"], "undelivered")


async def test_a_producer_sees_nothing_of_another_when_both_send(
    shop: Producer, rival: Producer
) -> None:
    # Given a message of each.
    ours = (await shop.send("+33612345161", "Ours."))["id"]
    theirs = (await rival.send("+33612345162", "Theirs."))["id"]
    await shop.until(ours, "delivered")
    await rival.until(theirs, "delivered")
    # Then neither finds the other's by id, in lists, or among events.
    for reader, own, foreign in ((shop, ours, theirs), (rival, theirs, ours)):
        status, problem = await reader.get(f"/v1/messages/{foreign}")
        assert (status, problem["code"]) == (404, "no_such_message")
        _, page = await reader.get("/v1/messages", limit="200")
        listed = {message["id"] for message in page["messages"]}
        told = {event["message_id"] for event in await reader.events()}
        assert own in listed & told
        assert foreign not in listed | told


async def test_the_books_are_closed_when_all_is_done(
    platform: fleet.Fleet, shop: Producer, rival: Producer
) -> None:
    """The last test of the module: over everything the ones before have sent."""
    for reader in (shop, rival):
        events = await reader.events()
        # Events are numbered without gaps, and the last about each message is where it stands.
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        last = {event["message_id"]: event["status"] for event in events}
        for message_id, status in last.items():
            assert (await reader.message(message_id))["status"] == status
        # Every message that is not where it began has said so.
        _, page = await reader.get("/v1/messages", limit="200")
        moved = {m["id"] for m in page["messages"] if m["status"] not in ("queued", "scheduled")}
        assert moved == set(last)
    verdict = platform.audit()
    assert verdict["ok"], [check for check in verdict["checks"] if check["breaches"]]


async def test_a_probe_goes_through_its_carrier_whatever_routes_say(platform: fleet.Fleet) -> None:
    # Given that France goes by SMPP and Great Britain by HTTP, When each is probed to the other's
    for carrier, to in (("web", PROBED_BY_WEB), ("practice", PROBED_BY_SMPP)):
        probed = await asyncio.to_thread(
            platform.sluice, "carrier", "probe", carrier, "--to", to, "--account", "shop", "--json"
        )
        # Then it is delivered by the carrier that was named
        trace = json.loads(probed.stdout)
        assert trace["route"]["carrier"] == carrier
        assert trace["message"]["status"] == "delivered"
        (submit,) = [entry for entry in platform.journal() if entry["recipient"] == to]
        assert submit["whole"].startswith(f"Test of the carrier {carrier} at ")


async def test_a_probe_that_is_not_delivered_says_so(platform: fleet.Fleet) -> None:
    refused = await asyncio.to_thread(
        platform.sluice, "carrier", "probe", "web", "--to", "+33", "--account", "shop", check=False
    )
    unnamed = await asyncio.to_thread(
        platform.sluice, "carrier", "probe", "web", "--to", PROBED_BY_WEB, check=False
    )
    nobody = await asyncio.to_thread(
        platform.sluice,
        *("carrier", "probe", "none", "--to", PROBED_BY_WEB, "--account", "shop"),
        check=False,
    )
    assert (refused.returncode, unnamed.returncode, nobody.returncode) == (1, 2, 2)
    assert "refused: invalid_recipient" in refused.stderr
    assert "--account" in unnamed.stderr
    assert "there is no carrier 'none'" in nobody.stderr


async def test_carriers_in_use_can_be_checked(platform: fleet.Fleet) -> None:
    for carrier in ("web", "practice"):
        checked = await asyncio.to_thread(platform.sluice, "carrier", "check", carrier)
        assert checked.stdout.startswith("ok")
    listed = await asyncio.to_thread(platform.sluice, "carrier", "list", "--json")
    assert {row["credentials"] for row in json.loads(listed.stdout)} == {"sealed"}
