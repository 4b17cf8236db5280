"""Value-added tax of a deposit, as data of the legal entity says: which of its rates, and how much.

What is paid is what is credited, so the tax is within it. Which law applies where is the operator's
to say: Council Directive 2006/112/EC, articles 44, 58, 59 and 196, is what the four treatments are
made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CENT_MICRO: Final = 10_000
BASIS_POINTS: Final = 10_000

EU_COUNTRIES: Final = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip


class VatTreatment(StrEnum):
    """Who is charged, seen from the seller's country."""

    DOMESTIC = "domestic"
    EU_BUSINESS = "eu_business"
    """In another country of the Union, with a VAT id."""
    EU_CONSUMER = "eu_consumer"
    """In another country of the Union, without one."""
    ABROAD = "abroad"


def treatment_of(seller_country: str, buyer_country: str, buyer_vat_id: str | None) -> VatTreatment:
    """Which treatment a sale has. Whether the VAT id is good is not looked at."""
    if buyer_country == seller_country:
        return VatTreatment.DOMESTIC
    if {seller_country, buyer_country} <= EU_COUNTRIES:
        return VatTreatment.EU_BUSINESS if buyer_vat_id else VatTreatment.EU_CONSUMER
    return VatTreatment.ABROAD


@dataclass(frozen=True, slots=True)
class VatSplit:
    """An amount that was paid, as what is the seller's and what is the state's; micro-units."""

    net_micro: int
    vat_micro: int


def split(gross_micro: int, basis_points: int) -> VatSplit:
    """The tax that is within an amount, at a rate in hundredths of a percent, to the nearest cent,
    half a cent up."""
    divisor = (BASIS_POINTS + basis_points) * CENT_MICRO
    cents = (2 * gross_micro * basis_points + divisor) // (2 * divisor)
    vat_micro = min(cents * CENT_MICRO, gross_micro)
    return VatSplit(gross_micro - vat_micro, vat_micro)
