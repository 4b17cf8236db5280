"""Invoices over the API: an account's own, with documents that never change."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.integration.ingest.world import World
from tests.integration.invoices import seller

pytestmark = pytest.mark.asyncio(loop_scope="module")

DETAILS = {
    "name": "Łódź S.A.",
    "address": ["1 rue de l’Exemple", "75001 Paris"],
    "country": "FR",
    "vat_id": "FR12345678901",
    "language": "de",
}


async def put_billing(town: World, account: str, body: Any, status: int = 200) -> Any:
    headers = town.bearer(account)
    async with town.client.put("/v1/billing", headers=headers, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def document(town: World, account: str, path: str, status: int = 200) -> tuple[bytes, Any]:
    async with town.client.get(path, headers=town.bearer(account)) as answer:
        assert answer.status == status, await answer.text()
        return await answer.read(), answer.headers


async def test_m40_an_account_reads_its_invoices_and_their_documents(town: World) -> None:
    # Given an account that says to whom its invoices are made out
    assert (await town.get("alice", "/v1/billing", 404))["code"] == "no_billing_details"
    assert await put_billing(town, "alice", DETAILS) == DETAILS
    assert await town.get("alice", "/v1/billing") == DETAILS

    # When two deposits are credited
    await seller.set_up(town.pool)
    account_id = await town.pool.fetchval("SELECT account_id FROM accounts WHERE name = 'alice'")
    for amount_micro in (10_000_000, 25_500_000):
        async with town.pool.acquire() as opened, opened.transaction():
            await seller.credit(opened, seller.deposit(account_id, amount_micro))

    # Then there is an invoice of each, page by page, the newest first
    first = await town.get("alice", "/v1/invoices?limit=1")
    second = await town.get("alice", f"/v1/invoices?limit=1&cursor={first['cursor']}")
    newest, oldest = first["invoices"][0], second["invoices"][0]
    assert [newest["gross"], oldest["gross"]] == ["25.50", "10.00"]
    assert newest["number"].endswith("-000002")
    assert (newest["vat_treatment"], newest["vat"]) == ("eu_business", "0.00")
    assert newest["buyer"]["name"] == DETAILS["name"]
    path = f"/v1/invoices/{newest['id']}"
    assert await town.get("alice", path) == newest

    # And its document is German unless English is asked for, and has the same bytes each time
    german, headers = await document(town, "alice", f"{path}/pdf")
    assert headers["Content-Type"] == "application/pdf"
    assert f"{newest['number']}-de.pdf" in headers["Content-Disposition"]
    assert headers["ETag"] == f'"{hashlib.sha256(german).hexdigest()}"'
    english, _ = await document(town, "alice", f"{path}/pdf?language=en")
    assert german.startswith(b"%PDF-")
    assert english != german
    assert (await document(town, "alice", f"{path}/pdf?language=de"))[0] == german
    kept = await town.pool.fetch("SELECT sha256(pdf) = sha256 FROM invoice_documents")
    assert [row[0] for row in kept] == [True, True]

    # And it is nobody else's
    for foreign in (path, f"{path}/pdf"):
        body = await town.get("bob", foreign, 404)
        assert body["code"] == "no_such_invoice"
        assert body == await town.get("bob", foreign.replace(newest["id"], "0" * 32), 404)
    assert (await town.get("bob", "/v1/invoices"))["invoices"] == []


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"name": ""}, "wrong_length", "name"),
        ({"name": "a\nb"}, "invalid_value", "name"),
        ({"name": " a"}, "invalid_value", "name"),
        ({"address": []}, "wrong_length", "address"),
        ({"address": ["x"] * 7}, "wrong_length", "address"),
        ({"country": "XX"}, "invalid_country", "country"),
        ({"language": "fr"}, "invalid_choice", "language"),
        ({"iban": "DE"}, "unknown_field", "iban"),
    ],
)
async def test_details_that_are_none_are_refused(
    town: World, changed: Any, code: str, field: str
) -> None:
    problem = await put_billing(town, "bob", DETAILS | changed, 422)
    assert (problem["code"], problem["field"]) == (code, field)


async def test_a_document_that_cannot_be_is_refused(town: World) -> None:
    assert (await town.get("alice", "/v1/invoices?cursor=x", 422))["code"] == "invalid_cursor"
    assert (await town.get("alice", "/v1/invoices/x", 404))["code"] == "no_such_invoice"
