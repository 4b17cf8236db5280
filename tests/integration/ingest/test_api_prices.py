"""What messages cost over the API: the public list, the calculator, and asking for a country."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.db import apply, configuration, support
from tests.integration.ingest.world import JSON, PRICES, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARIS, BERLIN, ROME = "+33612345678", "+4915123456789", "+393123456789"


async def put(town: World, *prices: apply.Price) -> None:
    """As `sluice apply` does it; until this ingest has heard of it."""
    async with town.pool.acquire() as opened, opened.transaction():
        for price in prices:
            await apply.put(opened, price, None)
        await configuration.bump(opened)
    wanted = {(price.country, f"{price.amount_micro / 1_000_000:g}") for price in prices}
    async with asyncio.timeout(10):
        while not wanted <= {(p["country"], p["amount"].rstrip("0")) for p in await listed(town)}:
            await asyncio.sleep(0.05)


async def listed(town: World, query: str = "") -> list[dict[str, Any]]:
    """The price list as anybody reads it."""
    async with town.client.get(f"/v1/prices{query}") as answer:
        assert answer.status == 200, await answer.text()
        found = await answer.json()
    return list(found["prices"])


async def test_m23_anybody_reads_the_list_and_is_told_when_it_is_the_same(town: World) -> None:
    # Given a list, When it is asked for without a token
    async with town.client.get("/v1/prices?country=FR") as answer:
        assert answer.status == 200
        tag, kept = answer.headers["ETag"], answer.headers["Cache-Control"]
        found = await answer.json()

    # Then it is told by country, and may be kept for a while
    plain = {"country": "FR", "currency": "EUR", "from": None, "until": None}
    assert found["prices"] == [
        {**plain, "kind": "usual", "amount": "0.0453"},
        {**plain, "kind": "special", "amount": "2.50"},
    ]
    assert kept == "public, max-age=60"
    assert await listed(town, "?currency=USD") == []

    # And who has it already is told so, until it is another
    headers = {"If-None-Match": tag}
    async with town.client.get("/v1/prices?country=FR", headers=headers) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == tag
    async with town.client.get("/v1/prices", headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("?currency=XAU", "invalid_choice", "currency"),
        ("?country=france", "invalid_value", "country"),
        ("?countries=FR", "unknown_field", "countries"),
        ("?country=FR&country=DE", "repeated_field", "country"),
    ],
)
async def test_m23_a_list_that_cannot_be_is_refused(
    town: World, query: str, code: str, field: str
) -> None:
    async with town.client.get(f"/v1/prices{query}") as answer:
        assert answer.status in (400, 422)
        problem = await answer.json(content_type=None)
    assert (problem["code"], problem["field"]) == (code, field)


async def test_m02_a_country_without_a_price_is_refused_before_any_debit(town: World) -> None:
    # Given a country that is not in the catalogue
    before = await town.books()

    # When it is written to, alone and among others, Then it is refused by a word of its own
    problem = await town.post("alice", "/v1/messages", {"to": ROME, "text": "hi"}, 422)
    assert (problem["code"], problem["field"]) == ("unsupported_country", "to")
    batch = {"messages": [{"to": ROME, "text": "hi"}]}
    result = await town.post("alice", "/v1/messages/batch", batch)
    assert result["results"][0]["error"]["code"] == "unsupported_country"

    # And nothing was stored, and no money has moved
    assert await town.books() == before


async def test_m22_a_price_that_was_announced_begins_at_its_time_in_a_running_process(
    town: World,
) -> None:
    # Given Austria at a price, and another from a moment on that is seconds away
    begins = datetime.now(UTC) + timedelta(seconds=3)
    await put(
        town,
        apply.Price("AT", "EUR", 60_000),
        apply.Price("AT", "EUR", 66_000, from_at=begins),
    )
    announced = await listed(town, "?country=AT&currency=EUR")
    assert [each["amount"] for each in announced] == ["0.06", "0.066"]
    assert announced[0]["until"] == announced[1]["from"] is not None
    version = await town.pool.fetchval("SELECT version FROM configuration_version")

    # When the same is sent before and after it
    wish = {"to": "+436641234567", "text": "hi"}
    before = await town.post("alice", "/v1/messages", wish)
    assert datetime.now(UTC) < begins, "too slow a machine for this test"
    async with asyncio.timeout(10):
        while datetime.now(UTC) < begins:
            await asyncio.sleep(0.05)
    after = await town.post("alice", "/v1/messages", wish)

    # Then each has the price of its moment, and keeps it, though nothing was loaded anew
    assert (before["price"], after["price"]) == ("0.06", "0.066")
    for sent in (before, after):
        kept = await town.get("alice", f"/v1/messages/{sent['id']}")
        assert kept["price"] == sent["price"]
        assert await _debited_micro(town, sent["id"]) == int(Decimal(sent["price"]) * 1_000_000)
    assert [each["amount"] for each in await listed(town, "?country=AT")] == ["0.066"]
    assert await town.pool.fetchval("SELECT version FROM configuration_version") == version


async def _debited_micro(town: World, message_id: str) -> int:
    return int(
        await town.pool.fetchval(
            "SELECT sum(amount_micro)::bigint FROM transfers WHERE message_id = $1", message_id
        )
    )


async def balance(town: World, account: str) -> Decimal:
    return Decimal((await town.get(account, "/v1/balance"))["amount"])


async def test_m35_what_the_calculator_says_is_what_is_charged(town: World) -> None:
    # Given texts of one segment and of two, to two countries and to nobody
    for text in ("hi", "ü" * 161):
        wish = {"text": text, "recipients": [PARIS, BERLIN, PARIS, ROME, "+33"]}
        calculated = await town.post("alice", "/v1/calculator", wish, 200)
        assert [each["index"] for each in calculated["refused"]] == [3, 4]
        codes = [each["error"]["code"] for each in calculated["refused"]]
        assert codes == ["unsupported_country", "invalid_recipient"]

        # When it is sent to all of them
        had = await balance(town, "alice")
        messages = [{"to": to, "text": text} for to in wish["recipients"]]
        sent = await town.post("alice", "/v1/messages/batch", {"messages": messages})

        # Then it takes and costs what was calculated, by country as well
        accepted = [each for each in sent["results"] if "id" in each]
        assert calculated["messages"] == len(accepted) == 3
        assert calculated["segments"] == sum(each["segments"] for each in accepted)
        assert Decimal(calculated["cost"]) == had - await balance(town, "alice")
        segments = calculated["segments"] // 3
        assert calculated["countries"] == [
            {"country": "DE", "messages": 1, "segments": segments, "cost": _price("DE", segments)},
            {
                "country": "FR",
                "messages": 2,
                "segments": 2 * segments,
                "cost": _price("FR", 2 * segments),
            },
        ]


def _price(country: str, segment_count: int) -> str:
    units, micro = divmod(PRICES[country] * segment_count, 1_000_000)
    return f"{units}.{f'{micro:06d}'.rstrip('0').ljust(2, '0')}"


async def test_m35_an_amount_pays_for_as_many_messages_as_the_calculator_says(
    town: World,
) -> None:
    # Given what an amount pays for, of texts of one segment and of two
    wish = {"amount": "1.00", "country": "FR"}
    of_one = await town.post("bob", "/v1/calculator", wish, 200)
    of_two = await town.post("bob", "/v1/calculator", {**wish, "text": "a" * 161}, 200)
    assert of_one == {
        "messages": 22,
        "segments": 22,
        "cost": "0.9966",
        "currency": "EUR",
        "segment_price": "0.0453",
        "left": "0.0034",
    }
    assert (of_two["messages"], of_two["segments"], of_two["left"]) == (11, 22, "0.0034")

    # When so many are sent, Then they cost that
    had = await balance(town, "bob")
    messages = [{"to": PARIS, "text": "hi"}] * of_one["messages"]
    await town.post("bob", "/v1/messages/batch", {"messages": messages})
    assert had - await balance(town, "bob") == Decimal(of_one["cost"])


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "amount"),
        ({"amount": "1"}, "missing_field", "country"),
        ({"country": "FR"}, "missing_field", "amount"),
        ({"recipients": [PARIS]}, "missing_field", "text"),
        ({"text": "hi", "recipients": []}, "wrong_length", "recipients"),
        ({"amount": "1", "country": "FR", "recipients": [PARIS]}, "contradicting_fields", None),
        ({"amount": "1e3", "country": "FR"}, "invalid_amount", "amount"),
        ({"amount": "-1", "country": "FR"}, "invalid_amount", "amount"),
        ({"amount": "1", "country": "IT"}, "unsupported_country", "country"),
        ({"amount": "1", "country": "FR", "currency": "USD"}, "unsupported_country", "country"),
        ({"amount": "1", "country": "FR", "currency": "JPY"}, "invalid_choice", "currency"),
        ({"amount": "1", "country": "FR", "text": "a\0"}, "invalid_text", "text"),
        ({"amount": "1", "country": "FR", "text": ""}, "empty_text", "text"),
        ({"text": "a" * 2_000, "recipients": [PARIS]}, "text_too_long", "text"),
    ],
)
async def test_m35_what_cannot_be_calculated_is_refused(
    town: World, body: dict[str, Any], code: str, field: str | None
) -> None:
    problem = await town.post("alice", "/v1/calculator", body, 422)
    assert problem["code"] == code, problem
    assert field is None or problem["field"] == field


async def test_m03_a_country_is_asked_for_once_and_its_answer_read(town: World) -> None:
    # Given a country that is not offered, When an account asks for it, twice
    wish = {"country": "IT", "text": "2,000 a month"}
    asked = await town.post("alice", "/v1/support-requests", wish, 201)
    again = await town.post("alice", "/v1/support-requests", wish, 200)

    # Then it is one request, which the operator finds and nobody else
    assert asked == again
    assert (asked["topic"], asked["country"], asked["state"]) == ("country", "IT", "open")
    assert await town.get("bob", "/v1/support-requests") == {"support_requests": []}
    async with town.pool.acquire() as opened:
        (found,) = await support.every(opened, 10)
        assert (found.account, found.country, found.words) == ("alice", "IT", "2,000 a month")
        assert await support.open_count(opened) == 1
        # When it is answered, Then the account reads it, and may ask anew
        assert await support.close(opened, found.support_request_id, "From May on.")
        assert not await support.close(opened, found.support_request_id, "Never.")
    (read,) = (await town.get("alice", "/v1/support-requests"))["support_requests"]
    assert (read["id"], read["state"], read["answer"]) == (asked["id"], "closed", "From May on.")
    assert (await town.post("alice", "/v1/support-requests", wish, 201))["id"] != asked["id"]


async def test_m03_requests_of_an_account_are_bounded_also_when_they_come_at_once(
    town: World,
) -> None:
    # Given an account that asks for much at the same moment
    async def ask(number: int) -> int:
        body = {"text": f"wish {number}"}
        headers = town.bearer("capped") | JSON
        async with town.client.post("/v1/support-requests", json=body, headers=headers) as answer:
            return answer.status

    statuses = await asyncio.gather(*map(ask, range(support.OPEN_COUNT_MAX + 10)))

    # Then so many are kept, and others are told why not
    assert sorted(statuses) == [201] * support.OPEN_COUNT_MAX + [409] * 10
    problem = await town.post("capped", "/v1/support-requests", {"text": "one more"}, 409)
    assert problem["code"] == "too_many_support_requests"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "missing_field"),
        ({"text": "  "}, 422, "missing_field"),
        ({"country": "Italy"}, 422, "invalid_value"),
        ({"country": "FR"}, 409, "country_is_offered"),
        ({"text": "a\0"}, 422, "invalid_text"),
        ({"text": "a" * 2_001}, 422, "wrong_length"),
    ],
)
async def test_m03_what_is_no_request_is_refused(
    town: World, body: dict[str, Any], status: int, code: str
) -> None:
    problem = await town.post("alice", "/v1/support-requests", body, status)
    assert problem["code"] == code, problem
