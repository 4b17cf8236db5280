"""An invoice on paper: its words, and that it is always the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from shared.invoices import document, words
from shared.ledger.invoices import Buyer, Invoice, Language, Parties, Seller

INVOICE = Invoice(
    invoice_id=UUID(int=5),
    deposit_id=UUID(int=6),
    account_id=1,
    legal_entity="SLUICE",
    year=2030,
    number=12,
    issued_at=datetime(2030, 1, 31, 12, tzinfo=UTC),
    issued_on=date(2030, 1, 31),
    currency="EUR",
    gross_micro=1_234_560_000,
    net_micro=1_028_800_000,
    vat_micro=205_760_000,
    vat_basis_points=2_000,
    vat_treatment="domestic",
    parties=Parties(
        Seller("Beispiel GmbH", ("Hauptstraße 1", "10115 Berlin"), "DE", "DE123456789"),
        Buyer("Łódź Ёлка S.A.", ("1 rue de l’Exemple", "75001 Paris"), "FR", None, "de"),
        {"de": "Ein Hinweis.", "en": "A note."},
    ),
)
_MAKE = """
import hashlib
from tests.unit.invoices.test_document import INVOICE
from shared.invoices import document
print(hashlib.sha256(document.pdf(INVOICE, "de")).hexdigest())
"""


def test_m40_an_invoice_has_the_same_bytes_whenever_and_wherever_it_is_made() -> None:
    # Given what this process makes of it
    here = document.pdf(INVOICE, "de")
    assert here == document.pdf(INVOICE, "de")

    # When another does, in another time zone and with another order of hashes
    environment = {**os.environ, "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7"}
    there = subprocess.run(
        [sys.executable, "-c", _MAKE], env=environment, capture_output=True, text=True, check=True
    )

    # Then it is the same, and another invoice is not
    assert there.stdout.strip() == hashlib.sha256(here).hexdigest()
    assert document.pdf(replace(INVOICE, number=13), "de") != here
    assert document.pdf(INVOICE, "en") != here


@pytest.mark.parametrize("language", ["de", "en"])
def test_m40_the_font_is_in_it_and_nothing_outside_is_needed(language: Language) -> None:
    pdf = document.pdf(INVOICE, language)
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/FontFile2") == 2
    assert b"DejaVu" in pdf
    assert len(pdf) < 100_000
    assert pdf.count(b"/Type /Page\n") == 1


def test_dates_amounts_and_rates_are_written_as_their_readers_do() -> None:
    assert words.day(date(2030, 1, 31), "de") == "31.01.2030"
    assert words.day(date(2030, 1, 31), "en") == "31 January 2030"
    assert words.amount(1_234_567_890_000, "EUR", "de") == "1.234.567,89 EUR"
    assert words.amount(1_234_567_890_000, "GBP", "en") == "1,234,567.89 GBP"
    assert words.amount(1_000_000, "USD", "en") == "1.00 USD"
    assert words.percentage(810, "de") == "8,1 %"
    assert words.percentage(2_000, "en") == "20 %"


def test_an_invoice_with_the_longest_lines_fits() -> None:
    long = "Gesellschaft für lange Namen mit beschränkter Haftung " * 4
    buyer = Buyer(long[:200], (long[:200],) * 6, "DE", "X" * 20, "de")
    parties = replace(INVOICE.parties, buyer=buyer)
    assert document.pdf(replace(INVOICE, parties=parties), "de")
