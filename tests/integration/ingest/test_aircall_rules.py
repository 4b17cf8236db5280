"""The rules of countries hold at the Aircall-shaped API as they do at the native one."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from shared.db import inbound
from shared.runtime import ids
from shared.sms.inbound import Alphabet, InboundText
from tests.integration.ingest import desk as desks
from tests.integration.ingest.desk import CA, FR, GB, US, Answer, Desk
from tests.integration.ingest.world import World
from tests.keys import SEALS

pytestmark = pytest.mark.asyncio(loop_scope="module")

US_PHONE = "+14155550177"
CA_PHONE = "+14165550177"
FR_PHONE = "+33612345678"
GB_PHONE = "+447400654321"
PHONES = {"US": US_PHONE, "CA": CA_PHONE, "FR": FR_PHONE, "GB": GB_PHONE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(town: World) -> Desk:
    """A new account, to which all rules apply, whose numbers serve the API where they can."""
    made = await desks.opened(town, "strict")
    for sender in (US, CA, FR, GB):
        assert (await made.configure(sender)).status == 200
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application(town: World) -> Desk:
    """The same, but its numbers serve the application."""
    return await desks.opened(town, "application")


def _rule(answer: Answer) -> Any:
    assert answer.status == 403, answer
    assert answer.body["key"] == "Forbidden"
    assert answer.body["rules_version"] >= 1
    return answer.body["rule"]


async def _consents(town: World, account: str, phone: str) -> None:
    body = {
        "given_at": "2026-01-31T09:00:00Z",
        "place": "https://shop.example.com/sign-up",
        "wording": "I agree to get messages about my order.",
        "purpose": "marketing",
    }
    path = f"/v1/consents/{phone.replace('+', '%2B')}"
    async with town.client.put(path, headers=town.bearer(account), json=body) as answer:
        assert answer.status in (200, 201), await answer.text()


async def test_a13_only_the_numbers_own_country_is_written_to_but_between_us_and_canada(
    town: World, strict: Desk
) -> None:
    before = await town.books()
    for sender, country in ((US, "GB"), (US, "FR"), (CA, "GB"), (GB, "US"), (FR, "GB")):
        assert _rule(await strict.send(sender, PHONES[country], "x")) == "domestic"
    assert await town.books() == before
    await _consents(town, "strict", CA_PHONE)
    await _consents(town, "strict", US_PHONE)
    for sender, to in ((GB, GB_PHONE), (US, CA_PHONE), (US, US_PHONE)):
        assert (await strict.send(sender, to, "x")).status == 200, (sender, to)


async def test_a02_a14_the_verdict_is_the_same_at_every_door(
    town: World, strict: Desk, application: Desk
) -> None:
    # Given the same numbers, configured for the API in one account and not in the other
    verdicts = {}
    for sender in (US, CA, FR, GB):
        for to in PHONES.values():
            by_api = await strict.send(sender, to, "x", key=f"{sender}{to}")
            native = await application.ask(
                "POST",
                f"/v1/numbers/{application.ids[sender]}/messages/native/send",
                {"to": to, "body": "x"},
            )
            wanted = {"to": to, "text": "x", "from": sender, "dry_run": True}
            headers = town.bearer("application")
            async with town.client.post("/v1/messages", headers=headers, json=wanted) as answer:
                by_app = await answer.json(content_type=None)
            verdicts[sender, to] = by_api.body.get("rule"), native.body.get("rule")
            if not (sender in (US, CA) and to in (US_PHONE, CA_PHONE)):
                # The others hang on what is on record, which is each account's own.
                assert verdicts[sender, to] == (by_app.get("rule"),) * 2
    assert {rule for pair in verdicts.values() for rule in pair} >= {"domestic", None}


async def test_a03_a_us_number_sends_automated_messages_only_if_it_is_registered(
    town: World, strict: Desk
) -> None:
    # Given consent, and a number whose registration is over
    await _consents(town, "strict", US_PHONE)
    assert (await strict.send(US, US_PHONE, "x")).status == 200
    await _update(town, "UPDATE lines SET registration = 'suspended' WHERE line_id = $1", strict)
    try:
        assert _rule(await strict.send(US, US_PHONE, "x")) == "registration"
    finally:
        await _update(town, "UPDATE lines SET registration = 'approved' WHERE line_id = $1", strict)


async def _update(town: World, statement: str, desk: Desk) -> None:
    await town.pool.execute(statement, desk.ids[US])
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    # A configuration is read anew by the next change that is made over the API.
    assert (await desk.configure(GB)).status == 200


async def test_a04_automated_messages_need_consent_that_can_be_proved(
    town: World, strict: Desk
) -> None:
    stranger = "+14155550188"
    assert _rule(await strict.send(US, stranger, "x")) == "consent"
    await _consents(town, "strict", stranger)
    assert (await strict.send(US, stranger, "x")).status == 200
    proof = await town.get("strict", f"/v1/consents/{stranger.replace('+', '%2B')}")
    assert "I agree" in str(proof)


async def test_a05_a06_a_french_mobile_answers_and_sends_nothing_else(
    town: World, strict: Desk
) -> None:
    # Given a phone that has not written to the number
    assert _rule(await strict.send(FR, FR_PHONE, "x")) == "conversation"

    # When it writes
    message = inbound.new_inbound(
        ids.uuid7(), (1, FR_PHONE, FR), InboundText("Bonjour", None, Alphabet.GSM7, ()), 1, None
    )
    async with town.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE lines SET keyword = 'BONJOUR' WHERE line_id = $1", strict.ids[FR]
        )
        await inbound.insert(connection, SEALS, [message])

    # Then it may be answered
    assert (await strict.send(FR, FR_PHONE, "Bonjour !")).status == 200
