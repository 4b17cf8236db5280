"""Putting money in by card, from the first step to what can be spent (M24 to M39, M41 to M46)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.servers import Servers
from services.commands.configuration import file
from shared.db import apply
from tests.integration.commands.sluice import Command
from tests.integration.ingest.till import Till
from tests.servers import as_services, in_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_m24_m44_the_worked_example_over_the_api(shop: Till) -> None:
    await shop.account("example", "USD")
    # Given a deposit of 400 USD
    await shop.paid("example", "400.00", "USD")
    assert await shop.balance("example") == ("400.00 USD", {}, {})
    # When 275 of them are spent (11 messages of 25)
    await shop.send("example", 11)
    assert await shop.balance("example") == ("125.00 USD", {}, {})
    # And 200 EUR are deposited, Then EUR are active, and USD lie dormant, as many as there were
    await shop.paid("example", "200.00", "EUR")
    assert await shop.balance("example") == ("200.00 EUR", {}, {"USD": "125.00"})
    # When something is sent, Then EUR alone pay for it
    await shop.send("example", 2)
    assert await shop.balance("example") == ("150.00 EUR", {}, {"USD": "125.00"})
    # When 1 USD is deposited, Then USD are active again, added up, and EUR are what was left
    await shop.paid("example", "1.00", "USD")
    assert await shop.balance("example") == ("126.00 USD", {}, {"EUR": "150.00"})
    await shop.send("example", 1)
    assert await shop.balance("example") == ("101.00 USD", {}, {"EUR": "150.00"})
    assert await shop.breaches() == {}


async def test_m41_whoever_sends_right_after_a_switch_sends_in_the_new_currency(
    shop: Till,
) -> None:
    # Given an ingest that has not heard yet that a deposit has changed the currency
    await shop.account("quick", "USD")
    await shop.paid("quick", "100.00", "USD")
    for number, (currency, other) in enumerate((("EUR", "USD"), ("USD", "EUR")) * 2):
        await shop.town.pool.execute(
            "UPDATE accounts SET currency = $1 WHERE name = 'quick'", currency
        )
        await shop.town.pool.execute(
            "INSERT INTO wallets (account_id, book, currency) SELECT account_id, 'customer', $1"
            " FROM accounts WHERE name = 'quick' ON CONFLICT DO NOTHING",
            currency,
        )
        await shop.town.pool.execute("UPDATE configuration_version SET version = version + 1")
        # When it sends one message, or many, Then they are judged in the new one, at once
        sent = {"to": f"+44740022{number:04d}", "text": "Hello"}
        status = 202 if currency == "USD" else 402
        answer = await shop.town.post("quick", "/v1/messages", sent, status)
        assert answer.get("currency", currency) == currency != other
        batch = await shop.town.post("quick", "/v1/messages/batch", {"messages": [sent, sent]})
        assert batch["balance"]["currency"] == currency
        codes = {each.get("error", {}).get("code") for each in batch["results"]}
        assert codes <= {None, "insufficient_funds"}


async def test_m46_what_lies_dormant_pays_for_nothing(shop: Till) -> None:
    # Given an account with much in USD, which are dormant, and 1 in GBP
    await shop.account("asleep", "USD")
    await shop.paid("asleep", "500.00", "USD")
    await shop.paid("asleep", "1.00", "GBP")
    # When it sends what 1 GBP does not pay for, Then it is refused, and nothing moves
    before = await shop.town.books()
    sent = {"to": "+447400123456", "text": "Hello"}
    refused = await shop.town.post("asleep", "/v1/messages", sent, 402)
    assert refused["code"] == "insufficient_funds"
    assert await shop.town.books() == before
    assert await shop.balance("asleep") == ("1.00 GBP", {}, {"USD": "500.00"})


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("0.99", "USD", "below_minimum"),
        ("0", "EUR", "below_minimum"),
        ("-5.00", "EUR", "invalid_amount"),
        ("1e3", "EUR", "invalid_amount"),
        ("1.005", "EUR", "not_whole_cents"),
        ("1000000.00", "EUR", "above_maximum"),
        ("5.00", "CHF", "unsupported_currency"),
        ("5.00", "usd", "unsupported_currency"),
    ],
)
async def test_m25_m26_what_no_deposit_can_be_is_refused(
    shop: Till, amount: str, currency: str, code: str
) -> None:
    count = await shop.town.pool.fetchval("SELECT count(*) FROM deposits")
    body = {"amount": amount, "currency": currency}
    refused = await shop.town.post("alice", "/v1/deposits", body, 422)
    assert refused["code"] == code
    assert refused["field"] in ("amount", "currency")
    assert await shop.town.pool.fetchval("SELECT count(*) FROM deposits") == count


async def test_m26_one_unit_is_enough(shop: Till) -> None:
    for currency in ("EUR", "GBP", "USD"):
        await shop.begin("bob", "1.00", currency)


async def test_m28_m29_m30_m33_a_card_never_used_before_is_pending_and_cannot_be_spent(
    shop: Till,
) -> None:
    await shop.account("fresh", "EUR")
    # Given a deposit that was paid with a card nobody knows
    made = await shop.ordered("fresh", "50.00", "EUR")
    assert made["checkout_url"].startswith("http://127.0.0.1:")
    await shop.enter_card(made, "fresh one")
    # Then it is pending, for 48 hours at most, and shown so
    pending = await shop.until("fresh", made, "pending")
    assert pending["pending_amount"] == "50.00"
    assert pending["checkout_url"] is None
    seconds = _seconds_between(pending["ordered_at"], pending["validated_by"])
    assert 47.9 * 3600 < seconds <= 48.1 * 3600
    assert await shop.balance("fresh") == ("0.00 EUR", {"EUR": "50.00"}, {})
    assert (await shop.books())[made["id"]]["received"] == 0
    # And nothing can be sent with it
    sent = {"to": "+447400123456", "text": "Hello"}
    await shop.town.post("fresh", "/v1/messages", sent, 402)
    # When its time is over, Then it is charged and credited together (M31)
    await shop.validation_is_over(made)
    credited = await shop.until("fresh", made, "credited")
    assert credited["credited_amount"] == "50.00"
    assert (await shop.books())[made["id"]] | {"received": 5000, "charges": 1} == (
        await shop.books()
    )[made["id"]]
    assert await shop.balance("fresh") == ("50.00 EUR", {}, {})
    assert await shop.types("fresh", made) == ["deposit.pending", "deposit.credited"]
    (card,) = (await shop.town.get("fresh", "/v1/cards"))["cards"]
    assert card["brand"] == "visa"
    assert len(card["last_digits"]) == 4
    assert card["validated_at"] is not None
    # When it pays again, Then there is no delay (M33)
    again = await shop.ordered("fresh", "7.50", "EUR")
    await shop.enter_card(again, "fresh one")
    await shop.until("fresh", again, "credited")
    assert await shop.types("fresh", again) == ["deposit.credited"]
    # But another card is validated again, and so is that card of another account
    other = await shop.ordered("fresh", "5.00", "EUR")
    await shop.enter_card(other, "another one")
    await shop.until("fresh", other, "pending")
    theirs = await shop.ordered("bob", "5.00", "EUR")
    await shop.enter_card(theirs, "fresh one")
    await shop.until("bob", theirs, "pending")
    assert await shop.breaches() == {}


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def test_m31_the_providers_own_review_decides_earlier(shop: Till) -> None:
    # Given two payments that the provider looks at
    yes = await shop.ordered("bob", "10.00", "EUR")
    no = await shop.ordered("bob", "11.00", "EUR")
    await shop.enter_card(yes, "review one")
    await shop.enter_card(no, "review two")
    await shop.until("bob", yes, "pending")
    await shop.until("bob", no, "pending")
    books = await shop.books()
    # When it approves one and refuses the other
    await shop.happens("review", payment=books[yes["id"]]["payment"], reason="approved")
    await shop.happens("review", payment=books[no["id"]]["payment"], reason="refunded_as_fraud")
    # Then one is charged and credited, the other neither (M32)
    await shop.until("bob", yes, "credited")
    failed = await shop.until("bob", no, "failed")
    assert failed["reason"] == "card_refused"
    books = await shop.books()
    assert (books[yes["id"]]["received"], books[no["id"]]["received"]) == (1000, 0)
    assert books[no["id"]]["status"] == "canceled"
    assert await shop.types("bob", no) == ["deposit.pending", "deposit.failed"]
    assert await shop.breaches() == {}


@pytest.mark.parametrize("card", ["review that never ends", "bounced card"])
async def test_m32_a_failed_validation_leaves_neither_charge_nor_credit(
    shop: Till, card: str
) -> None:
    # Given a card that cannot be validated within its time, or cannot be charged when it was
    before = await shop.balance("bob")
    made = await shop.ordered("bob", "12.00", "EUR")
    await shop.enter_card(made, card)
    await shop.until("bob", made, "pending")
    # When its time is over
    await shop.validation_is_over(made)
    # Then it is let go of
    await shop.until("bob", made, "failed")
    after = (await shop.books())[made["id"]]
    assert (after["status"], after["received"]) == ("canceled", 0)
    assert (await shop.balance("bob"))[0] == before[0]
    assert await shop.breaches() == {}


async def test_a_declined_card_may_be_followed_by_another(shop: Till) -> None:
    made = await shop.ordered("bob", "13.00", "EUR")
    await shop.enter_card(made, "declined", status=402)
    assert (await shop.town.get("bob", f"/v1/deposits/{made['id']}"))["state"] == "ordered"
    await shop.enter_card(made, "a good one")
    await shop.until("bob", made, "pending")


async def test_a_page_that_closes_unpaid_ends_the_deposit(shop: Till) -> None:
    # Given an order whose page is open for two hours
    made = await shop.ordered("bob", "14.00", "EUR")
    # When three pass at the provider, Then the account is told that it came to nothing
    await shop.happens("clock", forward_seconds=3 * 3600)
    ended = await shop.until("bob", made, "expired")
    assert ended["reason"] == "not_paid_in_time"
    assert await shop.types("bob", made) == ["deposit.failed"]
    await shop.enter_card(made, "too late", status=402)
    await shop.happens("clock", forward_seconds=-3 * 3600)


async def test_a_hold_that_the_bank_lets_go_of_ends_the_deposit(shop: Till) -> None:
    made = await shop.ordered("bob", "14.00", "EUR")
    await shop.enter_card(made, "a slow one")
    await shop.until("bob", made, "pending")
    await shop.happens("cancel", payment=(await shop.books())[made["id"]]["payment"])
    assert (await shop.until("bob", made, "failed"))["reason"] == "canceled"


async def test_m34_m36_m37_m38_m39_nothing_is_ordered_before_every_step(shop: Till) -> None:
    # Given a draft
    deposit_id = await shop.begin("alice", "20.00", "USD")
    path = f"/v1/deposits/{deposit_id}"
    version = (await shop.town.get("alice", "/v1/terms"))["version"]
    order = {"terms_version": version, "accept_terms": True}
    details = {"amount": "20.00", "currency": "USD"}
    # Then the order is refused, and each step before its turn
    assert (await shop.town.post("alice", f"{path}/order", order, 409))["code"] == "wrong_step"
    method = {"method": "card"}
    assert (await shop.town.post("alice", f"{path}/method", method, 409))["code"] == "wrong_step"
    # And other details are not confirmed
    other = {"amount": "21.00", "currency": "USD"}
    refused = await shop.town.post("alice", f"{path}/confirm-details", other, 409)
    assert refused["code"] == "details_differ"
    # When the steps are made, each twice, Then they are made once
    for _ in range(2):
        made = await shop.town.post("alice", f"{path}/confirm-details", details, 200)
        assert made["state"] == "details_confirmed"
    assert (await shop.town.post("alice", f"{path}/order", order, 409))["code"] == "wrong_step"
    for _ in range(2):
        made = await shop.town.post("alice", f"{path}/method", method, 200)
        assert made["state"] == "method_chosen"
    await shop.town.post("alice", f"{path}/method", {"method": "cheque"}, 422)
    # And the order needs the box, of the text that is in force (M38)
    unticked = await shop.town.post("alice", f"{path}/order", order | {"accept_terms": False}, 422)
    assert (unticked["code"], unticked["field"]) == ("terms_not_accepted", "accept_terms")
    without = await shop.town.post("alice", f"{path}/order", {"terms_version": version}, 422)
    assert without["code"] == "missing_field"
    outdated = await shop.town.post("alice", f"{path}/order", order | {"terms_version": "0"}, 409)
    assert outdated["code"] == "terms_outdated"
    assert deposit_id not in await shop.books()
    # When it is ordered, twice at once, Then there is one order and one page
    first, second = await asyncio.gather(
        *(shop.town.post("alice", f"{path}/order", order, 200) for _ in range(2))
    )
    assert first["checkout_url"] == second["checkout_url"]
    assert first["terms_version"] == version
    assert first["terms_accepted_by"].startswith("token ")
    assert first["terms_accepted_at"] is not None
    assert len([each for each in await shop.books() if each == deposit_id]) == 1


async def test_m38_the_box_says_what_is_agreed_to(shop: Till) -> None:
    terms = await shop.town.get("alice", "/v1/terms")
    assert "explicitly agreed" in terms["text_en"]
    assert "fine" in terms["text_en"]
    assert "ausdrücklich zugestimmt" in terms["text_de"]


async def test_a_deposit_is_begun_once_under_its_key(shop: Till) -> None:
    body = {"amount": "5.00", "currency": "EUR"}
    made = await shop.town.post("alice", "/v1/deposits", body, 201, key="once")
    again = await shop.town.post("alice", "/v1/deposits", body, 200, key="once")
    assert again == made
    other = body | {"amount": "6.00"}
    refused = await shop.town.post("alice", "/v1/deposits", other, 422, key="once")
    assert refused["code"] == "key_reused"


async def test_an_account_begins_so_many_deposits_and_no_more(shop: Till) -> None:
    await shop.account("undecided")
    body = {"amount": "5.00", "currency": "EUR"}
    for _ in range(20):
        made = await shop.town.post("undecided", "/v1/deposits", body, 201)
    refused = await shop.town.post("undecided", "/v1/deposits", body, 409)
    assert refused["code"] == "too_many_deposits"
    # When a day has passed, Then they are given up, nobody is told, and there is room again
    await shop.town.pool.execute("UPDATE deposits SET look_at = now() WHERE state = 'draft'")
    ended = await shop.until("undecided", made, "expired")
    assert ended["reason"] == "not_ordered_in_time"
    assert await shop.types("undecided", made) == []
    path = f"/v1/deposits/{made['id']}/confirm-details"
    assert (await shop.town.post("undecided", path, body, 409))["code"] == "deposit_ended"
    page = await shop.town.get("undecided", "/v1/deposits?limit=15")
    rest = await shop.town.get("undecided", f"/v1/deposits?limit=15&cursor={page['cursor']}")
    assert [len(page["deposits"]), len(rest["deposits"]), rest["cursor"]] == [15, 5, None]


async def test_deposits_of_others_are_not_there(shop: Till) -> None:
    made = await shop.ordered("bob", "5.00", "EUR")
    path = f"/v1/deposits/{made['id']}"
    details = {"amount": "5.00", "currency": "EUR"}
    order = {"terms_version": "1", "accept_terms": True}
    assert (await shop.town.get("alice", path, 404))["code"] == "no_such_deposit"
    for step, body in (
        ("confirm-details", details),
        ("method", {"method": "card"}),
        ("order", order),
    ):
        refused = await shop.town.post("alice", f"{path}/{step}", body, 404)
        assert refused["code"] == "no_such_deposit"
    await shop.town.get("alice", "/v1/deposits/none", 404)


# Operators ---------------------------------------------------------------------------------------


async def test_new_terms_are_in_force_at_once_and_a_version_is_never_changed(
    shop: Till, servers: Servers, tmp_path: Path
) -> None:
    name = await shop.town.pool.fetchval("SELECT current_database()")
    command = Command({"SLUICE_DATABASE_URL": as_services(in_database(servers.database_url, name))})
    # Given a deposit that is ordered under the terms of now, and texts of new ones
    made = await shop.ordered("bob", "5.00", "EUR")
    texts = tmp_path / "en.txt", tmp_path / "de.txt"
    for path, text in zip(texts, ("I agree.", "Ich stimme zu."), strict=True):
        path.write_text(text, "utf-8")
    publish = ("terms", "publish", "2", "--english", str(texts[0]), "--german", str(texts[1]))
    # When they are published, twice
    assert (await command(*publish)).code == 0
    again = await command(*publish)
    assert (again.code, "never changed" in again.errors) == (2, True)
    # Then orders need them, and those of before keep what was agreed to
    terms = await shop.town.get("bob", "/v1/terms")
    assert (terms["version"], terms["text_de"]) == ("2", "Ich stimme zu.")
    assert (await shop.ordered("bob", "5.00", "EUR"))["terms_version"] == "2"
    before = await shop.town.get("bob", f"/v1/deposits/{made['id']}")
    assert before["terms_version"] == "1"


async def test_m41_a_file_does_not_take_back_what_a_deposit_has_set(shop: Till) -> None:
    # Given an account in EUR by its file, and in GBP by a deposit
    await shop.account("filed", "EUR")
    await shop.paid("filed", "3.00", "GBP")
    async with shop.town.pool.acquire() as opened:
        current = await apply.read(opened)
        text = '[[account]]\nname = "filed"\ncurrency = "EUR"\ndaily_limit = 7\n'
        # When the file is applied again
        (wanted,), faults = file.read(text, current)
        assert faults == []
        async with opened.transaction():
            await apply.put(opened, wanted, current[wanted.key])
        # Then all of it is taken over but the currency
        after = (await apply.read(opened))[wanted.key]
    assert isinstance(after, apply.Account)
    assert (after.currency, after.daily_limit) == ("GBP", 7)
    assert await shop.balance("filed") == ("3.00 GBP", {}, {})


async def test_m46_what_was_sent_before_a_switch_is_refunded_to_the_wallet_that_paid(
    shop: Till,
) -> None:
    # Given a message that waits, paid in USD
    await shop.account("before", "USD")
    await shop.paid("before", "100.00", "USD")
    in_two_days = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    sent = {"to": "+447400123456", "text": "Later", "send_at": in_two_days}
    message = await shop.town.post("before", "/v1/messages", sent)
    # When the account changes to EUR, and the message is canceled
    await shop.paid("before", "10.00", "EUR")
    assert await shop.balance("before") == ("10.00 EUR", {}, {"USD": "75.00"})
    await shop.town.post("before", f"/v1/messages/{message['id']}/cancel", {}, 200)
    # Then USD have it back, and EUR are as they were
    assert await shop.balance("before") == ("10.00 EUR", {}, {"USD": "100.00"})
    assert await shop.breaches() == {}
