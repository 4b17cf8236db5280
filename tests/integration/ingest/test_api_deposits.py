"""Putting money in by card, from the first step to what can be spent (M24 to M39, M41 to M46)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from deploy.local.servers import Servers
from services.commands.configuration import file
from services.simulator.payment_face import signature
from shared.db import apply
from tests.integration.commands.sluice import Command
from tests.integration.ingest import till
from tests.integration.ingest.till import Till
from tests.servers import as_services, in_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(servers: Servers) -> AsyncIterator[Till]:
    async with till.standing(servers) as built:
        yield built


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


# What the provider tells -------------------------------------------------------------------------


def _event(kind: str, about: dict[str, Any], event_id: str, made_at: int | None = None) -> bytes:
    return msgspec.json.encode(
        {
            "id": event_id,
            "object": "event",
            "type": kind,
            "created": made_at or int(time.time()),
            "data": {"object": about},
        }
    )


async def test_forged_events_are_refused_and_change_nothing(shop: Till) -> None:
    # Given a deposit that is ordered, and an event that says it was paid
    made = await shop.ordered("bob", "5.00", "EUR")
    about = {
        "object": "payment_intent",
        "id": "pi_forged",
        "status": "succeeded",
        "amount_received": 500_000,
        "currency": "eur",
        "metadata": {"deposit_id": made["id"]},
    }
    body = _event("payment_intent.succeeded", about, "evt_forged")
    now = time.time()
    before = await shop.balance("bob")
    # When it is signed by somebody else, or by nobody, or long ago, or is changed, or is no event
    assert await shop.event(body, "whsec_guessed", now) == 400
    assert await shop.event(body, till.SECRET, now - 301) == 400
    assert await shop.event(b"no JSON at all", till.SECRET, now) == 400
    headers = {"Stripe-Signature": signature(body, till.SECRET, now)}
    for changed, head in ((body + b" ", headers), (body, {}), (body, {"Stripe-Signature": "t=x"})):
        async with shop.town.client.post(shop.event_path, data=changed, headers=head) as answer:
            assert answer.status == 400
            assert (await answer.json(content_type=None))["code"] == "forged_event"
    async with shop.town.client.post("/payments/other/events", data=body) as answer:
        assert answer.status == 404
    # Then nothing is kept
    kept = "SELECT count(*) FROM payment_events WHERE event_id = 'evt_forged'"
    assert await shop.town.pool.fetchval(kept) == 0
    # And one that is signed, with an amount of its own, makes us ask the provider, who knows better
    assert await shop.event(body, till.SECRET, now) == 200
    assert await shop.event(body, till.OLD_SECRET, now) == 200
    assert await shop.town.pool.fetchval(kept) == 1
    await asyncio.sleep(0.3)
    assert (await shop.town.get("bob", f"/v1/deposits/{made['id']}"))["state"] == "ordered"
    assert await shop.balance("bob") == before


async def test_events_twice_and_in_any_order_are_credited_once_with_the_providers_amount(
    shop: Till,
) -> None:
    # Given a payment of which the bank holds back less than was ordered
    await shop.account("shuffled", "GBP")
    await shop.paid("shuffled", "1.00", "GBP", "known")
    made = await shop.ordered("shuffled", "30.00", "GBP")
    await shop.enter_card(made, "unknown yet")
    await shop.until("shuffled", made, "pending")
    payment = (await shop.books())[made["id"]]["payment"]
    await shop.happens("held", payment=payment, cents=2500)
    about = {
        "object": "payment_intent",
        "id": payment,
        "metadata": {"deposit_id": made["id"]},
    }
    kinds = ("succeeded", "amount_capturable_updated", "created", "succeeded", "processing")
    # When events about it come many times, in the wrong order, at once, while its time is over
    await shop.validation_is_over(made)
    bodies = [
        _event(f"payment_intent.{kind}", about, f"evt_shuffled_{place % 3}", 1_700_000_000 - place)
        for place, kind in enumerate(kinds * 4)
    ]
    now = time.time()
    statuses = await asyncio.gather(*(shop.event(body, till.SECRET, now) for body in bodies))
    assert set(statuses) == {200}
    # Then it is credited once, with what the provider has charged
    credited = await shop.until("shuffled", made, "credited")
    assert (credited["amount"], credited["credited_amount"]) == ("30.00", "25.00")
    assert await shop.balance("shuffled") == ("26.00 GBP", {}, {})
    await asyncio.gather(*(shop.event(body, till.SECRET, now) for body in bodies))
    await asyncio.sleep(0.3)
    assert await shop.balance("shuffled") == ("26.00 GBP", {}, {})
    assert (await shop.books())[made["id"]]["charges"] == 1
    assert await shop.breaches() == {}


async def test_a_hold_in_another_currency_is_let_go_of(shop: Till) -> None:
    made = await shop.ordered("bob", "30.00", "EUR")
    await shop.enter_card(made, "abroad")
    await shop.until("bob", made, "pending")
    payment = (await shop.books())[made["id"]]["payment"]
    await shop.happens("held", payment=payment, currency="usd")
    await shop.validation_is_over(made)
    assert (await shop.until("bob", made, "failed"))["reason"] == "currency_differs"
    assert (await shop.books())[made["id"]]["received"] == 0


async def test_what_was_charged_without_us_is_credited(shop: Till) -> None:
    # Given a payment that is pending, When somebody charges it at the provider
    made = await shop.ordered("bob", "8.00", "EUR")
    await shop.enter_card(made, "by hand")
    await shop.until("bob", made, "pending")
    await shop.happens("capture", payment=(await shop.books())[made["id"]]["payment"])
    # Then it is credited: charge and credit go together (M31)
    await shop.until("bob", made, "credited")


async def test_lost_answers_and_faults_of_the_provider_end_well(shop: Till) -> None:
    # Given a provider whose answers are lost, or are faults
    await shop.happens("faults", errors=1)
    deposit_id = await shop.begin("bob", "9.00", "EUR")
    path = f"/v1/deposits/{deposit_id}"
    await shop.town.post(
        "bob", f"{path}/confirm-details", {"amount": "9.00", "currency": "EUR"}, 200
    )
    await shop.town.post("bob", f"{path}/method", {"method": "card"}, 200)
    order = {"terms_version": "1", "accept_terms": True}
    # When it is ordered, Then it may be asked again, until there is a page, and only one
    await shop.town.post("bob", f"{path}/order", order, 503)
    await shop.happens("faults", lost_answers=1)
    await shop.town.post("bob", f"{path}/order", order, 503)
    made = await shop.town.post("bob", f"{path}/order", order, 200)
    assert made["checkout_url"] is not None
    # When the answer to the charge is lost, Then it is found charged, and credited
    await shop.enter_card(made, "lossy")
    await shop.until("bob", made, "pending")
    await shop.happens("faults", lost_answers=1)
    await shop.validation_is_over(made)
    async with asyncio.timeout(till.WAIT_SECONDS):
        while (await shop.books())[deposit_id]["status"] != "succeeded":
            await asyncio.sleep(0.02)
    await shop.until("bob", made, "credited")
    assert (await shop.books())[deposit_id]["charges"] == 1


async def test_m27_a_dispute_is_recorded_and_no_money_leaves_the_wallet(shop: Till) -> None:
    # Given money that was credited
    await shop.account("disputed", "EUR")
    made = await shop.paid("disputed", "40.00", "EUR", "stolen")
    payment = (await shop.books())[made["id"]]["payment"]
    before = await shop.balance("disputed")
    # When the payer's bank takes it back, and says so in two events
    await shop.happens("dispute", payment=payment, status="needs_response")
    await shop.happens("dispute", payment=payment, status="lost")
    rows = "SELECT status, is_over, amount_micro FROM payment_disputes WHERE deposit_id = $1"
    async with asyncio.timeout(till.WAIT_SECONDS):
        while not [row for row in await shop.town.pool.fetch(rows, made["id"]) if row["is_over"]]:
            await asyncio.sleep(0.02)
    (row,) = await shop.town.pool.fetch(rows, made["id"])
    assert tuple(row) == ("lost", True, 40_000_000)
    # Then the wallet is as it was
    assert await shop.balance("disputed") == before
    # And the card is validated again the next time
    (card,) = (await shop.town.get("disputed", "/v1/cards"))["cards"]
    assert card["validated_at"] is None
    again = await shop.ordered("disputed", "5.00", "EUR")
    await shop.enter_card(again, "stolen")
    await shop.until("disputed", again, "pending")
    assert await shop.breaches() == {}


async def test_m27_nothing_gives_a_deposit_back(shop: Till) -> None:
    # Given a deposit, Then no path of the API takes it back
    made = await shop.paid("alice", "5.00", "EUR")
    for method in ("DELETE", "PUT", "PATCH"):
        async with shop.town.client.request(
            method, f"/v1/deposits/{made['id']}", headers=shop.town.bearer("alice")
        ) as answer:
            assert answer.status == 405
    for path in ("refund", "cancel", "withdraw"):
        await shop.town.post("alice", f"/v1/deposits/{made['id']}/{path}", {}, 404)


async def test_events_that_are_not_ours_are_taken_and_forgotten(shop: Till) -> None:
    about = {"object": "payment_intent", "id": "pi_of_a_neighbour", "metadata": {}}
    body = _event("payment_intent.succeeded", about, "evt_of_a_neighbour")
    assert await shop.event(body, till.SECRET, time.time()) == 200
    kept = "SELECT count(*) FROM payment_events WHERE event_id = 'evt_of_a_neighbour'"
    assert await shop.town.pool.fetchval(kept) == 0


async def test_m40_each_deposit_has_one_invoice_of_what_was_charged(shop: Till) -> None:
    # Given deposits, of which one fails
    await shop.account("invoiced", "EUR")
    made = [await shop.paid("invoiced", amount, "EUR") for amount in ("10.00", "20.00")]
    failed = await shop.ordered("invoiced", "30.00", "EUR")
    await shop.enter_card(failed, "bounced again")
    await shop.until("invoiced", failed, "pending")
    await shop.validation_is_over(failed)
    await shop.until("invoiced", failed, "failed")
    # Then those that were credited have an invoice each, and nothing else has one
    rows = await shop.town.pool.fetch(
        "SELECT deposit_id::text, gross_micro FROM invoices JOIN accounts USING (account_id)"
        " WHERE name = 'invoiced' ORDER BY number"
    )
    assert [tuple(row) for row in rows] == [
        (made[0]["id"], 10_000_000),
        (made[1]["id"], 20_000_000),
    ]
    listed = await shop.town.get("invoiced", "/v1/invoices")
    assert [invoice["deposit_id"] for invoice in listed["invoices"]] == [
        made[1]["id"],
        made[0]["id"],
    ]
    # And whoever paid can spend it, and has its document
    assert (await shop.town.get("invoiced", "/v1/balance"))["amount"] == "30.00"
    document = f"/v1/invoices/{listed['invoices'][0]['id']}/pdf"
    headers = shop.town.bearer("invoiced")
    async with shop.town.client.get(document, headers=headers) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert (await answer.read()).startswith(b"%PDF-")
    assert await shop.breaches() == {}


async def test_nothing_is_ordered_where_nobody_could_issue_the_invoice(shop: Till) -> None:
    # Given an operator who has not said who sells
    deposit_id = await shop.begin("bob", "5.00", "EUR")
    path = f"/v1/deposits/{deposit_id}"
    details = {"amount": "5.00", "currency": "EUR"}
    await shop.town.post("bob", f"{path}/confirm-details", details, 200)
    await shop.town.post("bob", f"{path}/method", {"method": "card"}, 200)
    await shop.town.pool.execute("UPDATE legal_entities SET is_current = false")
    try:
        # Then an order is refused, before anybody pays
        order = {"terms_version": "1", "accept_terms": True}
        refused = await shop.town.post("bob", f"{path}/order", order, 409)
        assert refused["code"] == "no_invoices"
        assert deposit_id not in await shop.books()
    finally:
        await shop.town.pool.execute("UPDATE legal_entities SET is_current = true")


# Operators ---------------------------------------------------------------------------------------


async def test_an_operator_judges_cards_and_reads_disputes(shop: Till, servers: Servers) -> None:
    # Given two cards that are being validated
    name = await shop.town.pool.fetchval("SELECT current_database()")
    command = Command({"SLUICE_DATABASE_URL": as_services(in_database(servers.database_url, name))})
    good, bad = await shop.ordered("bob", "6.00", "EUR"), await shop.ordered("bob", "7.00", "EUR")
    for made, card in ((good, "a good card"), (bad, "a bad card")):
        await shop.enter_card(made, card)
        await shop.until("bob", made, "pending")
    listed = await command("deposit", "list", "--json")
    waiting = {each["deposit_id"]: each for each in msgspec.json.decode(listed.output)}
    assert waiting.keys() >= {good["id"], bad["id"]}
    assert all("checkout_url" not in each for each in waiting.values())
    # When an operator approves one and refuses the other
    assert (await command("deposit", "approve", good["id"])).code == 0
    refused = await command("deposit", "refuse", bad["id"], "--reason", "a stolen card")
    assert refused.code == 0
    # Then it is done, and the account reads why
    await shop.until("bob", good, "credited")
    assert (await shop.until("bob", bad, "failed"))["reason"] == "a stolen card"
    # And neither is asked about again
    again = await command("deposit", "approve", bad["id"])
    assert (again.code, "no such deposit waits" in again.errors) == (2, True)
    disputes = msgspec.json.decode((await command("deposit", "disputes", "--json")).output)
    assert [each["status"] for each in disputes] == ["lost"]


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
