"""An invoice as PDF: the same bytes for the same invoice, whenever and wherever it is made.

Its font is in it. DejaVu Sans has Latin, Greek and Cyrillic letters among others; what it has no
letter for stands as an empty box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from shared.invoices import words
from shared.ledger.invoices import Invoice, Language

_FONTS: Final = Path(__file__).with_name("fonts")
_FAMILY: Final = "DejaVu"
_MARGIN_MM: Final = 20
_LINE_MM: Final = 5.5
_AMOUNT_MM: Final = 45


class _InvoicePages(FPDF):
    """Pages whose file has no name of its own but its invoice's."""

    def __init__(self, invoice: Invoice, language: Language) -> None:
        super().__init__(format="A4")
        self._invoice = invoice
        self._words = words.WORDS[language]
        self.set_creation_date(invoice.issued_at)
        self.set_lang(language)
        self.set_title(f"{self._words.title} {invoice.name}")
        self.set_author(invoice.parties.seller.name)
        self.set_margins(_MARGIN_MM, _MARGIN_MM)
        self.set_auto_page_break(True, _MARGIN_MM + 10)
        self.add_font(_FAMILY, fname=_FONTS / "DejaVuSans.ttf")
        self.add_font(_FAMILY, style="B", fname=_FONTS / "DejaVuSans-Bold.ttf")

    def file_id(self) -> str:
        """What tells one PDF from another."""
        return hashlib.sha256(str(self._invoice.invoice_id).encode()).hexdigest()[:32].upper()

    def footer(self) -> None:
        """Who has issued it, at the foot of every page."""
        seller = self._invoice.parties.seller
        told = [seller.name, *seller.address, seller.country]
        more = [seller.registration, seller.email]
        vat_id = seller.vat_id and f"{self._words.vat_id} {seller.vat_id}"
        self.set_y(-_MARGIN_MM - 2)
        self.set_font(_FAMILY, size=7.5)
        for line in (", ".join(told), "  ·  ".join(filter(None, [vat_id, *more]))):
            self.cell(0, 3.6, line, align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.cell(0, 3.6, f"{self._words.page} {self.page_no()}", align="C")

    def line_of_text(self, text: str, style: str = "", size: float = 10) -> None:
        """A line or, if it is long, several."""
        self.set_font(_FAMILY, style, size)
        self.multi_cell(0, _LINE_MM, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def pair(self, name: str, value: str, style: str = "") -> None:
        """A name, and at the right its value."""
        self.set_font(_FAMILY, style, 10)
        self.cell(self.epw - _AMOUNT_MM, _LINE_MM + 1, name)
        self.cell(_AMOUNT_MM, _LINE_MM + 1, value, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def rule(self) -> None:
        """A line across the page."""
        self.line(self.l_margin, self.get_y() + 1, self.w - self.r_margin, self.get_y() + 1)
        self.ln(3)


def pdf(invoice: Invoice, language: Language) -> bytes:
    """The document, of one page as a rule."""
    pages = _InvoicePages(invoice, language)
    pages.add_page()
    seller, buyer = invoice.parties.seller, invoice.parties.buyer
    _address(pages, "", [seller.name, *seller.address, seller.country])
    pages.ln(8)
    vat_id = buyer.vat_id and f"{words.WORDS[language].vat_id} {buyer.vat_id}"
    to = [buyer.name, *buyer.address, buyer.country, vat_id]
    _address(pages, words.WORDS[language].buyer, [line for line in to if line])
    pages.ln(10)
    _figures(pages, invoice, language)
    return bytes(pages.output())


def _address(pages: _InvoicePages, heading: str, lines: Sequence[str]) -> None:
    if heading:
        pages.line_of_text(heading, size=8)
    for place, line in enumerate(lines):
        pages.line_of_text(line, style="" if place else "B")


def _figures(pages: _InvoicePages, invoice: Invoice, language: Language) -> None:
    said = words.WORDS[language]

    def amount(micro: int) -> str:
        return words.amount(micro, invoice.currency, language)

    pages.line_of_text(f"{said.title} {invoice.name}", style="B", size=16)
    pages.ln(3)
    for name, value in (
        (said.number, invoice.name),
        (said.day, words.day(invoice.issued_on, language)),
    ):
        pages.pair(name, value)
    pages.line_of_text(f"{said.deposit}  {invoice.deposit_id}", size=8)
    pages.ln(4)
    pages.rule()
    pages.pair(said.item, amount(invoice.net_micro))
    pages.rule()
    pages.pair(said.net, amount(invoice.net_micro))
    rate = words.percentage(invoice.vat_basis_points, language)
    pages.pair(f"{said.vat} {rate}", amount(invoice.vat_micro))
    pages.pair(said.gross, amount(invoice.gross_micro), style="B")
    pages.ln(6)
    for text in (invoice.parties.notes.get(language, ""), said.supplied, said.paid):
        if text:
            pages.line_of_text(text, size=9)
