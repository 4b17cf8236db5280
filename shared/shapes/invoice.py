"""An invoice as its account and the operator read it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.ledger import money
from shared.ledger.invoices import Buyer, Seller
from shared.ledger.invoices import Invoice as Issued
from shared.shapes.message import Amount, Time


class InvoiceParty(msgspec.Struct, frozen=True, kw_only=True):
    """Who sells, or to whom it is made out."""

    name: str
    address: list[str]
    country: str | None
    vat_id: str | None


class InvoiceShown(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice: `gross` is what was paid and credited, `vat` the tax within it. `language` is
    that of its document unless another is asked for."""

    invoice_id: UUID = msgspec.field(name="id")
    number: Annotated[str, Meta(examples=["SLUICE-2030-000012"])]
    deposit_id: UUID
    issued_on: date
    issued_at: Time
    currency: str
    gross: Amount
    net: Amount
    vat: Amount
    vat_percent: Annotated[str, Meta(examples=["20.00"])]
    vat_treatment: str
    seller: InvoiceParty
    buyer: InvoiceParty
    language: Literal["de", "en"]


def shown(issued: Issued) -> InvoiceShown:
    """The invoice as it is read."""
    whole, hundredths = divmod(issued.vat_basis_points, 100)
    return InvoiceShown(
        invoice_id=issued.invoice_id,
        number=issued.name,
        deposit_id=issued.deposit_id,
        issued_on=issued.issued_on,
        issued_at=issued.issued_at,
        currency=issued.currency,
        gross=money.format_amount(issued.gross_micro),
        net=money.format_amount(issued.net_micro),
        vat=money.format_amount(issued.vat_micro),
        vat_percent=f"{whole}.{hundredths:02d}",
        vat_treatment=issued.vat_treatment,
        seller=_party(issued.parties.seller),
        buyer=_party(issued.parties.buyer),
        language=issued.parties.buyer.language,
    )


def _party(party: Seller | Buyer) -> InvoiceParty:
    return InvoiceParty(
        name=party.name, address=[*party.address], country=party.country, vat_id=party.vat_id
    )
