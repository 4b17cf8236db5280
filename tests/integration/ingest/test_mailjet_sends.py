"""The Mailjet-shaped API: what is sent by it, what is refused, and what its clients repeat."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from services.ingest.mailjet.sends import RETRY_SECONDS
from shared.db import apply, idempotency
from tests.integration.ingest import texter as texters
from tests.integration.ingest.texter import Texter
from tests.integration.ingest.world import CREDIT_MICRO, PRICES, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+4915112345678"
HASH = "ab" * 32
LINES = tuple(
    apply.Line("mailer", sender, kind, "DE", False, 10_000, 10_000, 10_000)
    for sender, kind in (("ShopBot", "alphanumeric"), ("+4915112345679", "mobile"))
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mailer(town: World) -> Texter:
    """An account with a name and a number."""
    return await texters.opened(town, "mailer", consent="own", lines=LINES)


async def _stored(town: World, message_id: str) -> Any:
    return await town.pool.fetchrow(
        "SELECT * FROM messages WHERE message_id = $1", UUID(message_id)
    )


async def test_m48_a_send_is_answered_200_with_both_spellings(town: World, mailer: Texter) -> None:
    answer = await mailer.send("ShopBot", PHONE, "Your parcel is ready.")
    assert answer.status == 200
    shown = answer.body
    assert list(shown)[:4] == ["From", "To", "Text", "MessageId"]
    assert (shown["From"], shown["To"], shown["Text"]) == (
        "ShopBot",
        PHONE,
        "Your parcel is ready.",
    )
    assert shown["MessageId"] == shown["MessageID"] == shown["ID"] == str(UUID(shown["ID"]))
    assert shown["SmsCount"] == shown["SMSCount"] == 1
    assert isinstance(shown["CreationTS"], int)
    assert shown["SentTS"] >= shown["CreationTS"] > 1_700_000_000
    assert shown["Cost"] == {"Value": 0.07, "Currency": "EUR"}
    assert shown["Status"] == {
        "Code": 1,
        "Name": "sent_pending",
        "Description": "Message is being sent",
    }
    stored = await _stored(town, shown["ID"])
    assert (stored["sender"], stored["recipient"]) == ("ShopBot", PHONE)
    assert await town.pool.fetchval(
        "SELECT count(*) FROM work WHERE message_id = $1", stored["message_id"]
    )


async def test_a_number_of_the_account_sends_with_its_plus_and_without(
    town: World, mailer: Texter
) -> None:
    for sender in ("+4915112345679", "4915112345679"):
        shown = await mailer.sent(sender, PHONE)
        assert shown["From"] == sender
        assert (await _stored(town, shown["ID"]))["sender"] == "+4915112345679"


@pytest.mark.parametrize(
    ("text", "count"),
    [("a" * 160, 1), ("a" * 161, 2), ("a" * 206, 2), ("ж" * 70, 1), ("ж" * 71, 2)],
)
async def test_m04_160_characters_are_one_sms(
    town: World, mailer: Texter, text: str, count: int
) -> None:
    shown = await mailer.sent("ShopBot", PHONE, text)
    assert shown["SmsCount"] == count
    debited = await town.pool.fetch(
        "SELECT amount_micro FROM transfers WHERE message_id = $1", UUID(shown["ID"])
    )
    assert [row["amount_micro"] for row in debited] == [PRICES["DE"]] * count


@pytest.mark.parametrize(("unit", "most"), [("a", 765), ("ж", 335)])
async def test_m05_five_parts_are_the_most_and_the_766th_character_is_refused(
    town: World, mailer: Texter, unit: str, most: int
) -> None:
    shown = await mailer.sent("ShopBot", PHONE, unit * most)
    assert shown["SmsCount"] == 5
    before = await town.books()
    refused = await mailer.send("ShopBot", PHONE, unit * (most + 1))
    assert refused.says("mj-0006", "Text"), refused
    assert await town.books() == before


@pytest.mark.parametrize(
    "body",
    [
        {"From": "ShopBot", "To": [PHONE], "Text": "x"},
        {"From": "ShopBot", "To": [PHONE, "+4915112345670"], "Text": "x"},
        {"From": "ShopBot", "To": {"ListID": 7}, "Text": "x"},
        {"From": "ShopBot", "To": 7, "Text": "x"},
    ],
)
async def test_m09_a_list_or_an_array_of_recipients_is_refused(
    town: World, mailer: Texter, body: Any
) -> None:
    before = await town.books()
    refused = await mailer.ask("POST", "/sms-send", body)
    assert refused.says("mj-0004", "To"), refused
    named = {"From": "ShopBot", "To": PHONE, "Text": "x", "ContactsListID": 7}
    assert (await mailer.ask("POST", "/sms-send", named)).says("mj-0004", "ContactsListID")
    assert (await mailer.ask("POST", "/sms-send", [named])).says("mj-0004")
    assert await town.books() == before


async def test_m10_consent_is_asked_where_it_is_enforced(town: World) -> None:
    # Given an account that may only write to who has agreed
    strict = await texters.opened(town, "strict", consent="required")
    before = await town.books()
    refused = await strict.send("ShopBot", PHONE, "x")
    assert refused.says("sluice-no-consent", "To"), refused
    assert await town.books() == before
    assert await strict.names() == []

    # When the consent is on record, with when and where it was given
    consent = {
        "purpose": "automated",
        "given_at": "2026-01-31T12:00:00Z",
        "place": "https://shop.example/checkout",
        "wording": "Send me texts about my order",
    }
    headers = town.bearer("strict")
    async with town.client.put(f"/v1/consents/{PHONE}", json=consent, headers=headers) as recorded:
        assert recorded.status in (200, 201), await recorded.text()

    # Then it may be sent
    await strict.sent("ShopBot", PHONE)


async def test_m47_a_thousand_sends_at_once_are_all_taken_and_each_paid_for_once(
    town: World,
) -> None:
    bulk = await texters.opened(town, "bulkmailer", consent="own")
    answers = await asyncio.gather(
        *(bulk.send("ShopBot", PHONE, f"{number}") for number in range(1_000))
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["ID"] for answer in answers}) == 1_000
    spent_micro = await town.pool.fetchval(
        "SELECT $2 - balance_micro FROM wallets WHERE account_id = $1",
        bulk.account_id,
        CREDIT_MICRO,
    )
    assert spent_micro == 1_000 * PRICES["DE"]


async def test_m11_all_that_is_sent_counts_as_transactional(town: World, mailer: Texter) -> None:
    # Then there is no way to ask for a campaign, and each send is judged as automated
    shown = await mailer.sent("ShopBot", PHONE)
    trace = await town.get("mailer", f"/v1/messages/{shown['ID']}")
    assert trace["verdict"]["purpose"] == "automated"


@pytest.mark.parametrize(
    ("sender", "to", "text", "code", "related"),
    [
        (None, PHONE, "x", "mj-0003", "From"),
        ("ShopBot", None, "x", "mj-0003", "To"),
        ("ShopBot", PHONE, None, "mj-0003", "Text"),
        (7, PHONE, "x", "mj-0004", "From"),
        ("ShopBot", PHONE, True, "mj-0004", "Text"),
        ("ab", PHONE, "x", "mj-0020", "From"),
        ("", PHONE, "x", "mj-0020", "From"),
        ("NameOfTwelve", PHONE, "x", "mj-0006", "From"),
        ("12345678901234567", PHONE, "x", "mj-0006", "From"),
        ("Sh*pBot", PHONE, "x", "sluice-invalid-sender", "From"),
        (" ShopBot", PHONE, "x", "sluice-invalid-sender", "From"),
        ("+4915112345670", PHONE, "x", "sluice-unknown-sender", "From"),
        ("12345", PHONE, "x", "sluice-unknown-sender", "From"),
        ("ShopBot", "+49", "x", "mj-0020", "To"),
        ("ShopBot", "+491511234567890", "x", "sluice-invalid-recipient", "To"),
        ("ShopBot", "+4915112345678901234", "x", "mj-0006", "To"),
        ("ShopBot", "+999123456789", "x", "sms-0002", "To"),
        ("ShopBot", "4915112345678", "x", "sms-0002", "To"),
        ("ShopBot", "+447400123456", "x", "sms-0002", "To"),
        ("ShopBot", PHONE, "", "mj-0020", "Text"),
        ("ShopBot", PHONE, "\0", "sluice-invalid-text", "Text"),
        ("ShopBot", "+447400123456", "a" * 766, "mj-0006", "Text"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_costs_nothing(
    town: World, mailer: Texter, sender: Any, to: Any, text: Any, code: str, related: str
) -> None:
    before = await town.books()
    refused = await mailer.send(sender, to, text)
    assert refused.says(code, related), refused
    assert PHONE not in refused.body["ErrorMessage"]
    assert await town.books() == before
    assert await mailer.names() == ["ShopBot"]


async def test_each_missing_property_counts_as_missing(mailer: Texter) -> None:
    assert (await mailer.ask("POST", "/sms-send", {})).says("mj-0003", "From")
    assert (await mailer.ask("POST", "/sms-send", {"From": "x"})).says("mj-0003", "To")


@pytest.mark.parametrize(
    ("raw", "headers", "code", "status"),
    [
        (b"{", {}, "mj-0002", 400),
        (b"", {}, "mj-0002", 400),
        (b"[" * 5_000, {}, "mj-0002", 400),
        (b"\xff", {}, "mj-0002", 400),
        (b'{"Text": "\\ud800"}', {}, "mj-0002", 400),
        (b'"' + b"x" * 300_000 + b'"', {}, "mj-0011", 400),
        (b"{}", {"Content-Type": "text/plain"}, "sluice-unsupported-media-type", 415),
        (b"{}", {"Content-Encoding": "gzip"}, "sluice-encoded-body", 415),
        (b"{}", {"Authorization": ""}, "mj-0015", 401),
        (b"{}", {"Authorization": "Bearer nobody"}, "mj-0015", 401),
        (b"{}", {"Authorization": "Basic eDp5"}, "mj-0015", 401),
        (b"{}", {"Idempotency-Key": "a b"}, "sluice-invalid-idempotency-key", 400),
    ],
)
async def test_each_refusal_is_in_the_envelope(
    mailer: Texter, raw: bytes, headers: dict[str, str], code: str, status: int
) -> None:
    refused = await mailer.ask("POST", "/sms-send", raw=raw, headers=headers)
    body = refused.body
    assert list(body) == texters.MEMBERS
    assert (refused.status, body["StatusCode"], body["ErrorCode"]) == (status, status, code)
    assert UUID(body["ErrorIdentifier"]).version == 4
    if status == 401:
        assert body["ErrorMessage"].startswith("API key authentication/authorization failure")


async def test_paths_methods_and_paces_are_refused_in_the_envelope_too(town: World) -> None:
    hasty = await texters.opened(town, "hastymailer", requests_per_minute=2)
    assert (await hasty.ask("GET", "/nothing")).says("sluice-no-such-path", status=404)
    wrong = await hasty.ask("DELETE", "/sms-send")
    assert wrong.says("sluice-method-not-allowed", status=405)
    assert wrong.headers["Allow"] == "POST"
    for _ in range(2):
        assert (await hasty.ask("GET", "/sms")).status == 200
    refused = await hasty.ask("GET", "/sms")
    assert refused.says("sluice-too-many-requests", status=429)
    assert int(refused.headers["Retry-After"]) > 0


async def test_money_and_the_day_are_refused_with_the_vendors_codes(town: World) -> None:
    # Given an account that never had money, one that has spent it, and one with a day of two SMS
    bare = await texters.opened(town, "bare", credit_micro=0)
    spent = await texters.opened(town, "spent", credit_micro=PRICES["DE"])
    capped = await texters.opened(town, "cappedmailer", daily_limit=2)
    await spent.sent("ShopBot", PHONE)
    for _ in range(2):
        await capped.sent("ShopBot", PHONE)
    before = await town.books()

    # Then each is told so, in the words that clients know, and is not charged
    assert (await bare.send("ShopBot", PHONE, "x")).says("sms-0004")
    broke = await spent.send("ShopBot", PHONE, "x")
    assert broke.says("sms-0001")
    assert broke.body["ErrorMessage"] == "Insufficient funds."
    assert (await capped.send("ShopBot", PHONE, "x")).says("sms-0003")
    assert await town.books() == before
    assert await bare.names() == []


async def test_a_client_that_repeats_by_itself_is_charged_once(town: World, mailer: Texter) -> None:
    # Given a key that is a hash of the payload, as clients make it
    first = await mailer.send("ShopBot", PHONE, "secret words", key=HASH)
    books = await town.books()

    # Then the same request is the first one, whoever repeats it and how often
    again = await asyncio.gather(
        *(mailer.send("ShopBot", PHONE, "secret words", key=HASH) for _ in range(5))
    )
    # And where that has not been answered yet, it may come again at once
    for answer in again:
        assert answer.status in (200, 503)
        if answer.status == 503:
            assert answer.says("sluice-key-still-running", "Idempotency-Key", status=503)
            assert answer.headers["Retry-After"] == "1"
        else:
            assert answer.body == first.body
    assert await town.books() == books

    # And nothing of the text is kept under it
    kept = await town.pool.fetch("SELECT answer FROM idempotency_keys")
    assert not [row for row in kept if b"secret" in bytes(row["answer"])]


async def test_beyond_a_short_while_the_same_text_is_another_message(
    town: World, mailer: Texter
) -> None:
    key = uuid.uuid4().hex * 2
    own = f"order-{key}"
    first = await mailer.send("ShopBot", PHONE, "x", key=key)
    named = await mailer.send("ShopBot", PHONE, "x", key=own)
    left = await town.pool.fetchval(
        "SELECT extract(epoch FROM good_until - now()) FROM idempotency_keys WHERE key = $1",
        f"mailjet {key}",
    )
    assert RETRY_SECONDS - 60 < left <= RETRY_SECONDS

    # When that while is over
    await town.pool.execute(
        "UPDATE idempotency_keys SET created_at = created_at - $1 * interval '1 second',"
        " good_until = good_until - $1 * interval '1 second'",
        RETRY_SECONDS,
    )

    # Then the hash is a new request, which is known again, and a key of the producer's own is not
    second = await mailer.send("ShopBot", PHONE, "x", key=key)
    third = await mailer.send("ShopBot", PHONE, "x", key=key)
    assert first.body["ID"] != second.body["ID"] == third.body["ID"]
    assert (await mailer.send("ShopBot", PHONE, "x", key=own)).body == named.body
    other = await mailer.send("ShopBot", PHONE, "y", key=own)
    assert other.says("sluice-key-reused", "Idempotency-Key", status=422)

    # And a native request may have the same key
    body = {"to": PHONE, "text": "x", "from": "ShopBot"}
    await town.post("mailer", "/v1/messages", body, key=key)

    # And old hashes are taken away
    await town.pool.execute(
        "UPDATE idempotency_keys SET good_until = now() WHERE key ~ $1 AND good_until IS NOT NULL",
        key,
    )
    await idempotency.sweep(town.pool)
    rest = await town.pool.fetch("SELECT key FROM idempotency_keys WHERE key ~ $1", key)
    assert sorted(row["key"] for row in rest) == sorted([key, f"mailjet {own}"])
