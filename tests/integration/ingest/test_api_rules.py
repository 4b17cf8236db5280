"""The rules at the door: what is on record decides, refusals name their rule, verdicts are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from shared.db import apply, configuration, ledger
from shared.runtime import ids
from tests.integration.ingest.world import NUMBER, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

US_LINE, FREE_LINE, UNREGISTERED = "+12025550123", "+18005550123", "+12025550124"
AMERICAN, CANADIAN, FRENCH, BRITISH = (
    "+12125550123",
    "+14165550123",
    "+33612345678",
    "+447400123456",
)
LINES = (
    (US_LINE, "long_code", "approved"),
    (FREE_LINE, "toll_free", "approved"),
    (UNREGISTERED, "long_code", "none"),
)
CONSENT = {
    "purpose": "automated",
    "given_at": "2026-05-02T10:00:00Z",
    "place": "https://shop.example.com/sign-up",
    "wording": "Text me when my order is ready.",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def lines(town: World) -> AsyncIterator[None]:
    """Bob has lines of the US, prices for its neighbours, and a French mobile line."""
    async with town.pool.acquire() as connection, connection.transaction():
        for sender, kind, state in LINES:
            line = apply.Line("bob", sender, kind, "US", False, 10_000, 10_000, 10_000)
            line = apply.Line(
                **{name: getattr(line, name) for name in line.__slots__} | {"registration": state}
            )
            await apply.put(connection, line, None)
        mobile = apply.Line("bob", NUMBER[:-1] + "3", "mobile", "FR", False, 9_000, 9_000, 9_000)
        await apply.put(connection, mobile, None)
        for country in ("US", "CA", "GB"):
            await apply.put(connection, apply.Price(country, "EUR", 50_000), None)
        await configuration.bump(connection)
    await _until_known(town)
    yield


MOBILE = NUMBER[:-1] + "3"


async def _until_known(town: World) -> None:
    async with asyncio.timeout(10):
        while True:
            body = {"to": FRENCH, "text": "x", "from": MOBILE, "purpose": "automated"}
            async with town.client.post(
                "/v1/messages", headers=town.bearer("bob"), json=body
            ) as answer:
                if (await answer.json(content_type=None))["code"] != "unknown_sender":
                    return
            await asyncio.sleep(0.05)


async def wrote(town: World, phone: str, line: str, ago: timedelta = timedelta()) -> None:
    """A phone has written to a line of Bob's."""
    await town.pool.execute(
        """
INSERT INTO inbound (inbound_id, account_id, sequence, line_id, carrier_id, sender, recipient, body,
    encoding, part_count, missing, received_at)
SELECT $1, account_id, coalesce((SELECT max(sequence) FROM inbound), 0) + 1, line_id, 1, $2, $3,
    'yes', 'gsm7', 1, '{}', now() - $4::interval
FROM lines JOIN accounts USING (account_id) WHERE sender = $3 AND accounts.name = 'bob'""",
        ids.uuid7(),
        phone,
        line,
        ago,
    )


async def refused(town: World, body: dict[str, Any], status: int = 422) -> tuple[str, str]:
    """(code, rule) of a message that is refused, alone and in a batch, with nothing left behind."""
    before = await town.books()
    alone = await town.post("bob", "/v1/messages", body, status)
    batch = await town.post("bob", "/v1/messages/batch", {"messages": [body]})
    error = batch["results"][0]["error"]
    assert await town.books() == before
    assert alone["rules_version"] == error["rules_version"] == 1
    assert (alone["code"], alone["rule"]) == (error["code"], error["rule"])
    assert body["to"] not in str(alone)
    return alone["code"], alone["rule"]


async def verdict(town: World, body: dict[str, Any]) -> Any:
    """The verdict that is kept with a message that is accepted."""
    sent = await town.post("bob", "/v1/messages", body)
    return (await town.get("bob", f"/v1/messages/{sent['id']}"))["verdict"]


async def put(town: World, number: str, body: object, account: str = "bob") -> tuple[int, Any]:
    path = f"/v1/consents/{number}"
    async with town.client.put(path, headers=town.bearer(account), json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def withdraw(town: World, number: str, account: str = "bob") -> int:
    path = f"/v1/consents/{number}?reason=letter"
    async with town.client.delete(path, headers=town.bearer(account)) as answer:
        return answer.status


def message(to: str, from_: str, **more: object) -> dict[str, Any]:
    return {"to": to, "from": from_, "text": "hello", **more}


async def test_a13_a_number_does_not_send_abroad_but_from_the_us_to_canada(town: World) -> None:
    talk = {"purpose": "conversation"}
    assert await refused(town, message(BRITISH, US_LINE, **talk)) == ("abroad", "domestic")
    assert await refused(town, message(FRENCH, FREE_LINE, **talk)) == ("abroad", "domestic")
    to_canada = await verdict(town, message(CANADIAN, US_LINE, **talk))
    assert to_canada["reasons"] == ["us_and_canada"]
    assert to_canada["purpose"] == "conversation"


async def test_a03_an_unregistered_line_sends_nothing_automated(town: World) -> None:
    automated = message(AMERICAN, UNREGISTERED, purpose="automated")
    assert await refused(town, automated, 403) == ("not_registered", "registration")
    # And what does not say what it is for is that, unless the phone has written
    assert await refused(town, message(AMERICAN, UNREGISTERED), 403) == (
        "not_registered",
        "registration",
    )
    await wrote(town, AMERICAN, UNREGISTERED)
    answered = await verdict(town, message(AMERICAN, UNREGISTERED))
    assert (answered["purpose"], answered["reasons"]) == ("conversation", ["answer", "domestic"])


async def test_a04_without_consent_on_record_nothing_automated_goes_to_a_phone_and_with_it_all(
    town: World,
) -> None:
    # Given a registered line, and a phone of which nothing is on record
    phone = "+12125550177"
    automated = message(phone, US_LINE, purpose="automated")
    assert await refused(town, automated) == ("no_consent", "consent")
    # When its owner has agreed to what is automated
    assert (await put(town, phone, CONSENT))[0] == 201
    # Then that is sent, with the reasons, and marketing still is not
    kept = await verdict(town, automated)
    assert kept["reasons"] == ["consent", "domestic", "registered"]
    refusal = await town.post(
        "bob", "/v1/messages", message(phone, US_LINE, purpose="marketing"), 422
    )
    assert refusal["code"] in ("no_consent", "quiet_hours")
    # When it is withdrawn, Then nothing is, and the proof is still there
    assert await withdraw(town, phone) == 204
    assert await refused(town, automated) == ("no_consent", "consent")
    (proof,) = (await town.get("bob", f"/v1/consents/{phone}"))["consents"]
    assert {name: proof[name] for name in CONSENT} == CONSENT
    assert (proof["ended_by"], proof["end_reason"]) == ("producer", "letter")


@pytest.mark.parametrize("purpose", ["automated", "marketing"])
async def test_a05_a_french_mobile_line_sends_nothing_automated(town: World, purpose: str) -> None:
    await wrote(town, FRENCH, MOBILE)
    body = message(FRENCH, MOBILE, purpose=purpose)
    assert await refused(town, body) == ("conversation_only", "conversation")


async def test_a06_a_french_mobile_line_answers_for_thirty_days(town: World) -> None:
    phones = [f"+3361234560{n}" for n in range(3)]
    await wrote(town, phones[0], MOBILE, timedelta(days=29, hours=23))
    await wrote(town, phones[1], MOBILE, timedelta(days=30, hours=1))
    # A message that is scheduled answers when it is sent
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    kept = await verdict(town, message(phones[0], MOBILE))
    assert (kept["purpose"], kept["reasons"]) == ("conversation", ["answer", "domestic"])
    only = ("conversation_only", "conversation")
    assert await refused(town, message(phones[0], MOBILE, send_at=tomorrow)) == only
    assert await refused(town, message(phones[1], MOBILE)) == only
    assert await refused(town, message(phones[2], MOBILE, purpose="conversation")) == only


async def test_m10_an_account_may_ask_for_consent_to_every_message(town: World) -> None:
    # Given an account with enforcement on, set while ingest runs
    async with town.pool.acquire() as connection, connection.transaction():
        strict = apply.Account("strict", "EUR", 100_000, 1_000_000, consent="required")
        await apply.put(connection, strict, None)
        line = apply.Line("strict", "Sluice", "alphanumeric", "FR", True, 10_000, 10_000, 10_000)
        await apply.put(connection, line, None)
        owner = await connection.fetchval("SELECT account_id FROM accounts WHERE name = 'strict'")
        await ledger.credit(connection, owner, "EUR", 1_000_000, "test")
        await configuration.bump(connection)
    town.tokens["strict"] = await town.new_token("strict", "test")
    async with asyncio.timeout(10):
        while (await _post(town, "strict", {"to": FRENCH, "text": "x"}))[0] == 503:
            await asyncio.sleep(0.05)
    # Then a number without a record is refused, previews and dry runs too
    body = {"to": FRENCH, "text": "hello"}
    for path, wanted in (
        ("/v1/messages", body),
        ("/v1/preview", body),
        ("/v1/messages", body | {"dry_run": True}),
    ):
        answer = await town.post("strict", path, wanted, 422)
        assert (answer["code"], answer["rule"], answer["field"]) == ("no_consent", "consent", "to")
    batch = {"messages": [body | {"dry_run": True}, body, {"to": "no", "text": "x"}]}
    results = (await town.post("strict", "/v1/messages/batch", batch))["results"]
    codes = [each["error"]["code"] for each in results]
    assert codes == ["no_consent", "no_consent", "invalid_recipient"]
    # And one with a record of when and where is not
    assert (await put(town, FRENCH, CONSENT, "strict"))[0] == 201
    (proof,) = (await town.get("strict", f"/v1/consents/{FRENCH}"))["consents"]
    assert (proof["given_at"], proof["place"]) == (CONSENT["given_at"], CONSENT["place"])
    await town.post("strict", "/v1/messages", body)
    # But what is on record at another account is of no use
    await town.get("bob", f"/v1/consents/{FRENCH}", 404)
    # And a phone that has opted out is not written to all the same
    await town.post("strict", "/v1/opt-outs/import", {"numbers": [FRENCH]}, 200)
    assert (await town.post("strict", "/v1/messages", body, 422))["code"] == "opted_out"


async def _post(town: World, account: str, body: object) -> tuple[int, Any]:
    async with town.client.post("/v1/messages", headers=town.bearer(account), json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a02_a_batch_has_for_each_message_the_verdict_that_it_has_alone(town: World) -> None:
    # Given a batch of what needs no look at the record, what needs one, and what is refused by it
    phone = "+12125550188"
    await put(town, phone, CONSENT)
    batch = {
        "messages": [
            {"to": FRENCH, "text": "from a name"},
            message(phone, US_LINE, purpose="automated"),
            message("+12125550189", US_LINE, purpose="automated"),
            message(BRITISH, US_LINE),
        ]
    }
    # When it is sent twice, in a hopeful transaction and in one that looks at each message
    for _ in range(2):
        results = (await town.post("bob", "/v1/messages/batch", batch))["results"]
        # Then each has its own fate, and those that were stored have their verdicts
        codes = [each.get("error", {}).get("code") for each in results]
        assert codes == [None, None, "no_consent", "abroad"]
        kept = await town.get("bob", f"/v1/messages/{results[1]['id']}/trace")
        assert kept["verdict"]["reasons"] == ["consent", "domestic", "registered"]


async def test_marketing_in_quiet_hours_is_told_when_it_may_be_sent(town: World) -> None:
    # Given a Sunday, on which French phones get no marketing
    now = datetime.now(UTC)
    sunday = (now + timedelta(days=7 - now.weekday() - 1 or 7)).replace(hour=12, microsecond=0)
    body = {"to": FRENCH, "text": "sale", "purpose": "marketing"}
    refusal = await town.post("bob", "/v1/messages", body | {"send_at": sunday.isoformat()}, 422)
    assert (refusal["code"], refusal["rule"]) == ("quiet_hours", "quiet_hours")
    # When it is sent for the time that the refusal names, Then it is accepted
    monday = refusal["possible_at"]
    assert datetime.fromisoformat(monday).weekday() == 0
    kept = await verdict(town, body | {"send_at": monday})
    assert kept["reasons"] == ["name_allowed", "outside_quiet_hours"]
    # And when it is then wanted at another time, that is judged as well
    sent = await town.post("bob", "/v1/messages", body | {"send_at": monday})
    path = f"/v1/messages/{sent['id']}"
    headers = town.bearer("bob")
    moved = {"send_at": sunday.isoformat()}
    async with town.client.patch(path, headers=headers, json=moved) as answer:
        assert (answer.status, (await answer.json(content_type=None))["rule"]) == (
            422,
            "quiet_hours",
        )
    moved = {"send_at": (datetime.fromisoformat(monday) + timedelta(hours=1)).isoformat()}
    async with town.client.patch(path, headers=headers, json=moved) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("phone", [f"+1212555019{n}" for n in range(4)])
async def test_nothing_is_accepted_after_a_withdrawal_that_comes_among_sends(
    town: World, phone: str
) -> None:
    # Given a phone whose consent is withdrawn while many messages to it are sent
    await put(town, phone, CONSENT)
    body = message(phone, US_LINE, purpose="automated")
    counts: list[int] = []

    async def send() -> None:
        for _ in range(15):
            await _post(town, "bob", body)

    async def end() -> None:
        await asyncio.sleep(0.05)
        assert await withdraw(town, phone) == 204
        await count()

    async def count() -> None:
        query = "SELECT count(*) FROM messages WHERE recipient = $1"
        counts.append(await town.pool.fetchval(query, phone))

    await asyncio.gather(*(send() for _ in range(8)), end())
    await count()

    # Then none was stored after its end
    assert 0 < counts[0] == counts[1]
    assert (await _post(town, "bob", body))[1]["code"] == "no_consent"


async def test_consents_are_recorded_replaced_listed_and_imported(town: World) -> None:
    # Given a consent, recorded twice
    phones = ["+12125550141", "+12125550142", "+12125550143"]
    status, made = await put(town, phones[0], CONSENT, "alice")
    assert status == 201
    assert await put(town, phones[0], CONSENT, "alice") == (200, made)
    # When the phone agrees to more, Then that is in force, and what was before is kept
    more = CONSENT | {"purpose": "marketing", "wording": "Offers too."}
    assert (await put(town, phones[0], more, "alice"))[0] == 201
    history = (await town.get("alice", f"/v1/consents/{phones[0]}"))["consents"]
    assert [(one["purpose"], one["end_reason"]) for one in history] == [
        ("marketing", None),
        ("automated", "replaced"),
    ]
    # When a list is imported twice, Then each is there once, and what is none has its fault
    entries = [CONSENT | {"number": number} for number in (*phones[1:], phones[1], "12")]
    entries.append(CONSENT | {"number": phones[0], "given_at": "2200-01-01T00:00:00Z"})
    first = await town.post("alice", "/v1/consents/import", {"consents": entries}, 200)
    again = await town.post("alice", "/v1/consents/import", {"consents": entries}, 200)
    assert (first["recorded"], first["known"], again["recorded"], again["known"]) == (2, 0, 0, 2)
    assert [(one["index"], one["error"]["code"]) for one in again["failed"]] == [
        (3, "invalid_recipient"),
        (4, "given_in_future"),
    ]
    page = await town.get("alice", "/v1/consents?limit=2")
    rest = await town.get("alice", f"/v1/consents?cursor=%2B{page['cursor'][1:]}")
    assert [one["number"] for one in page["consents"] + rest["consents"]] == phones
    # And no account sees or ends another's
    await town.get("bob", f"/v1/consents/{phones[0]}", 404)
    assert await withdraw(town, phones[0], "bob") == 404


async def test_a_consent_that_proves_nothing_is_refused(town: World) -> None:
    phone = "+12125550151"
    bad: list[tuple[dict[str, object], str, str]] = [
        ({"given_at": "2200-01-01T00:00:00Z"}, "given_in_future", "given_at"),
        ({"given_at": "yesterday"}, "invalid_time", "given_at"),
        ({"place": ""}, "wrong_length", "place"),
        ({"wording": "\0"}, "invalid_wording", "wording"),
        ({"wording": "x" * 2_001}, "wrong_length", "wording"),
        ({"purpose": "anything"}, "invalid_choice", "purpose"),
    ]
    for members, code, field in bad:
        status, problem = await put(town, phone, CONSENT | members)
        assert (status, problem["code"], problem["field"]) == (422, code, field)
    for name in CONSENT:
        status, problem = await put(town, phone, {k: v for k, v in CONSENT.items() if k != name})
        assert (status, problem["code"], problem["field"]) == (422, "missing_field", name)
    await town.get("bob", f"/v1/consents/{phone}", 404)
