"""What is accepted: answers, prices, keys, dry runs, previews, and limits at the door."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.db import apply, configuration
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {"to": "+33612345678", "text": "Hello"}


async def _balance(town: World, account: str = "alice") -> Decimal:
    return Decimal((await town.get(account, "/v1/balance"))["amount"])


async def test_a_message_is_stored_and_paid_for_when_it_is_good(town: World) -> None:
    before = await _balance(town)

    answer = await town.post("alice", "/v1/messages", GOOD | {"text": "a" * 161})

    assert uuid.UUID(answer.pop("id")).version == 7
    assert datetime.fromisoformat(answer.pop("estimated_departure_at")) <= datetime.now(UTC)
    assert answer == {
        "status": "queued",
        "segments": 2,
        "encoding": "gsm7",
        "price": "0.0906",
        "currency": "EUR",
        "balance": {"amount": str(before - Decimal("0.0906")), "currency": "EUR"},
    }
    assert await _balance(town) == before - Decimal("0.0906")


async def test_every_option_is_kept_when_it_is_given(town: World) -> None:
    send_at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    answer = await town.post(
        "alice",
        "/v1/messages",
        GOOD
        | {
            "text": "Grüße ж",
            "from": "Narrow",
            "reference": "order 7",
            "class": "urgent",
            "delivery": "at_least_once",
            "send_at": send_at.isoformat(),
            "valid_for": 600,
            "max_segments": 1,
            "max_price": "0.0453",
            "purpose": "automated",
            "store_body": False,
            "dry_run": False,
        },
    )
    assert answer["status"] == "scheduled"

    message = await town.get("alice", f"/v1/messages/{answer['id']}")

    instants = {
        name: message.pop(name)
        for name in ("created_at", "updated_at", "send_at", "expires_at", "estimated_departure_at")
    }
    assert datetime.fromisoformat(instants["estimated_departure_at"]) == send_at
    assert datetime.fromisoformat(instants["send_at"]) == send_at
    assert datetime.fromisoformat(instants["expires_at"]) == send_at + timedelta(seconds=600)
    assert message == {
        "id": answer["id"],
        "status": "scheduled",
        "reason": "",
        "from": "Narrow",
        "to": "+33612345678",
        "country": "FR",
        "encoding": "ucs2",
        "segments": 1,
        "class": "urgent",
        "delivery": "at_least_once",
        "price": "0.0453",
        "currency": "EUR",
        "reference": "order 7",
        "body_stored": False,
        "verdict": {
            "allowed": True,
            "rules_version": 1,
            "purpose": "automated",
            "reasons": ["name_allowed"],
        },
        "parts": [
            {
                "part": 1,
                "state": "scheduled",
                "code": "",
                "submitted_at": None,
                "accepted_at": None,
                "finished_at": None,
                "refunded": False,
            }
        ],
    }


async def test_the_same_answer_comes_when_a_key_is_used_again(town: World) -> None:
    key = uuid.uuid4().hex
    first = await town.post("alice", "/v1/messages", GOOD, key=key)
    before = await town.books()

    # The same request in other words: order, blanks and escapes do not matter.
    again = await town.client.post(
        "/v1/messages",
        headers=town.bearer("alice") | {"Idempotency-Key": key, "Content-Type": "application/json"},
        data=b'{ "text" : "\\u0048ello",\n "to" : "+33612345678" }',
    )

    assert again.status == 202
    assert await again.json() == first
    assert await town.books() == before


@pytest.mark.parametrize(
    "changed",
    [{"text": "Hello!"}, {"to": "+33612345679"}, {"class": "bulk"}, {"reference": "r"}],
    ids=["text", "recipient", "class", "reference"],
)
async def test_a_key_is_refused_when_it_comes_with_another_message(
    town: World, changed: dict[str, str]
) -> None:
    key = uuid.uuid4().hex
    await town.post("alice", "/v1/messages", GOOD, key=key)
    before = await town.books()

    told = await town.post("alice", "/v1/messages", GOOD | changed, status=422, key=key)

    assert (told["code"], told["field"]) == ("key_reused", "Idempotency-Key")
    assert await town.books() == before


async def test_a_key_belongs_to_its_account_when_two_use_the_same(town: World) -> None:
    key = uuid.uuid4().hex
    of_alice = await town.post("alice", "/v1/messages", GOOD, key=key)
    of_bob = await town.post("bob", "/v1/messages", GOOD, key=key)
    assert of_alice["id"] != of_bob["id"]


async def test_one_message_is_stored_when_fifty_send_the_same_key(town: World) -> None:
    key, before = uuid.uuid4().hex, await _balance(town)
    headers = town.bearer("alice") | {"Idempotency-Key": key}

    async def attempt() -> tuple[int, str, str | None]:
        async with town.client.post("/v1/messages", headers=headers, json=GOOD) as answer:
            body = await answer.json(content_type=None)
            return answer.status, body.get("id") or body["code"], answer.headers.get("Retry-After")

    outcomes = set(await asyncio.gather(*(attempt() for _ in range(50))))

    accepted = {outcome for outcome in outcomes if outcome[0] == 202}
    assert len(accepted) == 1
    assert outcomes - accepted <= {(409, "key_still_running", "1")}
    assert await _balance(town) == before - Decimal("0.0453")


async def test_a_key_is_free_again_when_its_request_was_refused(town: World) -> None:
    key = uuid.uuid4().hex
    refused = await town.post("alice", "/v1/messages", GOOD | {"text": ""}, status=422, key=key)
    assert refused["code"] == "empty_text"
    await town.post("alice", "/v1/messages", GOOD, key=key)


async def test_the_answer_stays_when_the_time_to_send_has_passed_since(town: World) -> None:
    key = uuid.uuid4().hex
    send_at = datetime.now(UTC) + timedelta(seconds=2)
    body = GOOD | {"send_at": send_at.isoformat()}
    first = await town.post("alice", "/v1/messages", body, key=key)
    while datetime.now(UTC) <= send_at:
        await asyncio.sleep(0.05)

    assert await town.post("alice", "/v1/messages", body, key=key) == first
    told = await town.post("alice", "/v1/messages", body, status=422)
    assert told["code"] == "send_at_passed"


async def test_nothing_happens_when_it_is_a_dry_run(town: World) -> None:
    before = await town.books()

    answer = await town.post("alice", "/v1/messages", GOOD | {"dry_run": True}, 200, key="dry")

    assert datetime.fromisoformat(answer.pop("estimated_departure_at")) <= datetime.now(UTC)
    assert answer == {
        "status": "dry_run",
        "segments": 1,
        "encoding": "gsm7",
        "price": "0.0453",
        "currency": "EUR",
    }
    assert await town.books() == before


async def test_each_message_has_its_own_fate_when_they_come_in_a_batch(town: World) -> None:
    before = await _balance(town)
    messages: list[object] = [
        GOOD,
        GOOD | {"to": "+33"},
        GOOD | {"colour": "red"},
        17,
        {"to": "+33612345678"},
        GOOD | {"dry_run": True},
        GOOD | {"text": "ж", "reference": "last"},
    ]

    answer = await town.post("alice", "/v1/messages/batch", {"messages": messages})

    told = [
        result["error"]["code"] if "error" in result else result["status"]
        for result in answer["results"]
    ]
    assert told == [
        "queued",
        "invalid_recipient",
        "unknown_field",
        "wrong_type",
        "missing_field",
        "dry_run",
        "queued",
    ]
    fields = [result["error"].get("field") for result in answer["results"][1:5]]
    assert fields == ["to", "colour", None, "text"]
    assert answer["balance"] == {"amount": str(before - Decimal("0.0906")), "currency": "EUR"}
    assert await _balance(town) == before - Decimal("0.0906")
    last = await town.get("alice", f"/v1/messages/{answer['results'][6]['id']}")
    assert (last["reference"], last["encoding"]) == ("last", "ucs2")


async def test_the_batch_is_stored_once_when_its_key_is_used_again(town: World) -> None:
    body = {"messages": [GOOD, GOOD | {"to": "+33"}, GOOD]}
    key = uuid.uuid4().hex
    first = await town.post("alice", "/v1/messages/batch", body, key=key)
    before = await town.books()

    assert await town.post("alice", "/v1/messages/batch", body, key=key) == first
    shorter = {"messages": body["messages"][:2]}
    told = await town.post("alice", "/v1/messages/batch", shorter, status=422, key=key)

    assert told["code"] == "key_reused"
    assert await town.books() == before


async def test_ids_of_a_batch_follow_one_another_also_beside_other_batches(town: World) -> None:
    # Given batches that are composed in turns
    body = {"messages": [GOOD] * 400}
    # When they come at once
    told = await asyncio.gather(
        *(town.post("bob", "/v1/messages/batch", body) for _ in range(8)),
    )
    # Then no id of one lies between those of another
    batches = sorted([result["id"] for result in answer["results"]] for answer in told)
    every = [each for batch in batches for each in batch]
    assert every == sorted(every)


async def test_a_batch_of_dry_runs_stores_nothing(town: World) -> None:
    before = await town.books()
    body = {"messages": [GOOD | {"dry_run": True}] * 3}

    answer = await town.post("alice", "/v1/messages/batch", body, status=200)

    assert [result["status"] for result in answer["results"]] == ["dry_run"] * 3
    assert Decimal(answer["balance"]["amount"]) == await _balance(town)
    assert await town.books() == before


async def test_a_thousand_messages_are_accepted_at_once(town: World) -> None:
    answer = await town.post("bob", "/v1/messages/batch", {"messages": [GOOD] * 1000})
    assert {result["status"] for result in answer["results"]} == {"queued"}
    assert len({result["id"] for result in answer["results"]}) == 1000


async def test_as_many_as_can_be_paid_are_accepted_when_the_day_is_nearly_full(
    town: World,
) -> None:
    answer = await town.post("capped", "/v1/messages/batch", {"messages": [GOOD] * 3})
    told = [result.get("status") or result["error"]["code"] for result in answer["results"]]
    assert told == ["queued", "queued", "daily_limit_reached"]


async def test_a_special_number_costs_its_own_price_where_it_is_allowed(town: World) -> None:
    # Given an account that may send to special numbers, When it sends to one and to a mobile
    special = await town.post("special", "/v1/messages", {"to": "+33899123456", "text": "hi"})
    usual = await town.post("special", "/v1/messages", {"to": "+33612345678", "text": "hi"})

    # Then each has cost its own price
    assert (special["price"], usual["price"]) == ("2.50", "0.0453")


@pytest.mark.parametrize(
    ("body", "measured"),
    [
        ({"text": "a" * 160}, {"encoding": "gsm7", "segments": 1}),
        ({"text": "€" * 81, "from": "Any"}, {"encoding": "gsm7", "segments": 2}),
        (
            {"text": "ж" * 71, "to": "+491711234567"},
            {"encoding": "ucs2", "segments": 2, "price": "0.14", "currency": "EUR"},
        ),
    ],
    ids=["alone", "with a sender", "with a recipient"],
)
async def test_a_text_is_measured_and_nothing_is_charged_when_it_is_previewed(
    town: World, body: dict[str, str], measured: dict[str, object]
) -> None:
    before = await town.books()
    assert await town.post("alice", "/v1/preview", body, status=200) == measured
    assert await town.books() == before


async def test_requests_wait_outside_when_the_minute_is_full(town: World) -> None:
    for _ in range(3):
        await town.get("hasty", "/v1/balance")

    async with town.client.post("/v1/messages", headers=town.bearer("hasty"), json=GOOD) as answer:
        told = await answer.json(content_type="application/problem+json")

    assert (answer.status, told["code"]) == (429, "too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    await town.get("alice", "/v1/balance")


async def test_a_body_is_waited_for_when_it_comes_in_pieces(town: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", town.port)
    try:
        writer.write(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: 38\r\n"
            + f"Authorization: Bearer {town.tokens['alice']}\r\n\r\n".encode()
            + b'{"to":"+33612'
        )
        await writer.drain()
        # Once another request is answered, this one is surely being read.
        await town.get("alice", "/v1/balance")
        writer.write(b'345678",    "text":"hi"}'.ljust(25))
        await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 202")
        await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_the_next_request_is_served_when_a_client_goes_away(town: World) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", town.port)
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n"
        + f"Authorization: Bearer {town.tokens['alice']}\r\n\r\n".encode()
        + b'{"to":'
    )
    await writer.drain()
    before = await town.books()
    writer.transport.abort()

    await town.get("alice", "/v1/balance")
    assert await town.books() == before


async def test_an_account_may_enter_within_two_seconds_when_it_was_just_created(
    town: World,
) -> None:
    async with town.pool.acquire() as connection, connection.transaction():
        await apply.put(connection, apply.Account("newcomer", "EUR", 10, 1_000), None)
        await configuration.bump(connection)
    token = await town.new_token("newcomer", "test")

    statuses = []
    async with asyncio.timeout(10):
        while 200 not in statuses:
            async with town.client.get(
                "/v1/balance", headers={"Authorization": f"bearer {token}"}
            ) as answer:
                statuses.append(answer.status)
            await asyncio.sleep(0.05)

    assert set(statuses) <= {503, 200}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/messages", "GET,HEAD,POST"), ("PUT", "/v1/balance", "GET,HEAD")],
)
async def test_the_methods_are_named_when_another_was_used(
    town: World, method: str, path: str, allowed: str
) -> None:
    async with town.client.request(method, path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
