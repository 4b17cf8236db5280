"""An invoice's words, and how its readers write dates and amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from shared.ledger import money
from shared.ledger.invoices import Language


@dataclass(frozen=True, slots=True)
class InvoiceWords:
    """What stands on every invoice of a language."""

    title: str
    number: str
    day: str
    deposit: str
    account: str
    buyer: str
    vat_id: str
    item: str
    supplied: str
    net: str
    vat: str
    gross: str
    paid: str
    page: str
    thousands: str
    point: str


WORDS: Final[Mapping[Language, InvoiceWords]] = {
    "en": InvoiceWords(
        title="Invoice",
        number="Invoice number",
        day="Date of invoice",
        deposit="Deposit",
        account="Account",
        buyer="Invoice to",
        vat_id="VAT ID",
        item="Prepaid credit for sending SMS",
        supplied="The credit was supplied on the date of this invoice.",
        net="Net amount",
        vat="VAT",
        gross="Total",
        paid="Paid in full; nothing is left to be paid.",
        page="Page",
        thousands=",",
        point=".",
    ),
    "de": InvoiceWords(
        title="Rechnung",
        number="Rechnungsnummer",
        day="Rechnungsdatum",
        deposit="Einzahlung",
        account="Konto",
        buyer="Rechnungsempfänger",
        vat_id="USt-IdNr.",
        item="Guthaben für den Versand von SMS",
        supplied="Das Leistungsdatum entspricht dem Rechnungsdatum.",
        net="Nettobetrag",
        vat="Umsatzsteuer",
        gross="Gesamtbetrag",
        paid="Der Betrag ist bezahlt; es ist nichts mehr zu zahlen.",
        page="Seite",
        thousands=".",
        point=",",
    ),
}

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def day(on: date, language: Language) -> str:
    """A date as it is read: 31 January 2030, or 31.01.2030."""
    if language == "de":
        return f"{on.day:02d}.{on.month:02d}.{on.year:04d}"
    return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def amount(micro: int, currency: str, language: Language) -> str:
    """An amount as it is read: 1,234.50 EUR, or 1.234,50 EUR."""
    words = WORDS[language]
    units, _, places = money.format_amount(micro).partition(".")
    grouped = f"{int(units):,}".replace(",", words.thousands)
    return f"{grouped}{words.point}{places} {currency}"


def percentage(basis_points: int, language: Language) -> str:
    """A rate as it is read: 8.1 %, or 8,1 %."""
    whole, hundredths = divmod(basis_points, 100)
    places = f"{hundredths:02d}".rstrip("0")
    return f"{whole}{WORDS[language].point + places if places else ''} %"
