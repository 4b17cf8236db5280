"""An invoice as it was issued: nothing of it changes, whatever becomes of its parties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

Language = Literal["de", "en"]


@dataclass(frozen=True, slots=True)
class Seller:
    """The legal entity that issued it."""

    name: str
    address: tuple[str, ...]
    country: str
    vat_id: str | None = None
    registration: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """To whom it is made out. Without billing details: an account's name, and nothing else."""

    name: str
    address: tuple[str, ...] = ()
    country: str | None = None
    vat_id: str | None = None
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Parties:
    """What an invoice says besides its figures. `notes`: what the law wants to be said, by
    language."""

    seller: Seller
    buyer: Buyer
    notes: dict[Language, str]


@dataclass(frozen=True, slots=True)
class Invoice:
    """Amounts in micro-units of `currency`; `vat_basis_points` in hundredths of a percent."""

    invoice_id: UUID
    deposit_id: UUID
    account_id: int
    legal_entity: str
    year: int
    number: int
    issued_at: datetime
    issued_on: date
    currency: str
    gross_micro: int
    net_micro: int
    vat_micro: int
    vat_basis_points: int
    vat_treatment: str
    parties: Parties

    @property
    def name(self) -> str:
        """Its number as people write it: legal entity, year, and a number without gaps."""
        return f"{self.legal_entity}-{self.year}-{self.number:06d}"
