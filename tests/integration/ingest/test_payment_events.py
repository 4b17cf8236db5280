"""What the provider of card payments tells: forged, twice, in any order, of faults and of disputes
(M27, M40); and what operators do about it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from deploy.local.servers import Servers
from services.simulator.payment_face import signature
from tests.integration.commands.sluice import Command
from tests.integration.ingest import till
from tests.integration.ingest.till import Till
from tests.servers import as_services, in_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
