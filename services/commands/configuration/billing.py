"""Who issues invoices and at which rates of tax, and to whom they are made out, as an operator
writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from services.commands.configuration.faults import Faults
from services.commands.configuration.values import (
    AccountName,
    Country,
    Destination,
    Text,
    TimeZone,
)
from shared.db.billing import BillingDetails, LegalEntity, VatRate
from shared.ledger.vat import VatTreatment

_WHERE: Final = "platform.legal_entity"
_PERCENT: Final = re.compile(r"(0|[1-9][0-9]?|100)(?:\.([0-9]{1,2}))?")
_Lines = Annotated[list[Text], Meta(min_length=1, max_length=6)]


class _VatRate(msgspec.Struct, frozen=True, kw_only=True):
    treatment: VatTreatment
    percent: str
    country: Destination = Destination("*")
    note_en: Text = Text("")
    note_de: Text = Text("")


class _LegalEntity(msgspec.Struct, frozen=True, kw_only=True):
    code: Annotated[str, Meta(pattern="^[A-Z0-9]{1,8}$")]
    name: Text
    address: _Lines
    country: Country
    vat_id: Text | None = None
    registration: Text | None = None
    email: Text | None = None
    time_zone: TimeZone = TimeZone("UTC")
    vat: list[dict[str, Any]]


class _BillingDetails(msgspec.Struct, frozen=True, kw_only=True):
    account: AccountName
    name: Text
    address: _Lines
    country: Country
    vat_id: Text | None = None
    language: Literal["de", "en"] = "en"


def read_legal_entity(entry: object, faults: Faults) -> Iterator[tuple[str, LegalEntity | VatRate]]:
    """(place, row) of the entity and of its rates, in the order to write them."""
    if entry is None:
        return
    if not isinstance(entry, dict):
        faults.add(_WHERE, f"expected one table that begins with [{_WHERE}]")
        return
    if (found := faults.decode(_LegalEntity, entry, _WHERE)) is None:
        return
    yield (
        _WHERE,
        LegalEntity(
            found.code,
            str(found.name),
            tuple(map(str, found.address)),
            str(found.country),
            _told(found.vat_id),
            _told(found.registration),
            _told(found.email),
            str(found.time_zone),
        ),
    )
    rates = [*_rates(found, faults)]
    if not any(rate.treatment == VatTreatment.DOMESTIC for _, rate in rates):
        faults.add(f"{_WHERE}.vat", 'expected a rate with treatment = "domestic"')
    yield from rates
    yield from _usual(found.code, [rate for _, rate in rates])


def _told(text: Text | None) -> str | None:
    return None if text is None else str(text)


def _rates(found: _LegalEntity, faults: Faults) -> Iterator[tuple[str, VatRate]]:
    for index, entry in enumerate(found.vat):
        where = f"{_WHERE}.vat[{index}]"
        if (rate := faults.decode(_VatRate, entry, where)) is None:
            continue
        percent = _PERCENT.fullmatch(rate.percent)
        basis_points = 0
        if percent is not None:
            basis_points = int(percent[1]) * 100 + int((percent[2] or "").ljust(2, "0"))
        if percent is None or basis_points > 10_000:
            faults.add(f"{where}.percent", 'expected a percentage up to 100 such as "20" or "8.1"')
        yield (
            where,
            VatRate(
                found.code,
                rate.treatment.value,
                str(rate.country),
                basis_points,
                str(rate.note_en),
                str(rate.note_de),
            ),
        )


_Making = Callable[[int], tuple[int, str, str]]
_USUAL: Final[Mapping[VatTreatment, _Making]] = {
    VatTreatment.EU_CONSUMER: lambda domestic: (domestic, "", ""),
    VatTreatment.EU_BUSINESS: lambda _: (
        0,
        "Reverse charge: VAT is due from the recipient of the service.",
        "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge).",
    ),
    VatTreatment.ABROAD: lambda _: (
        0,
        "Not subject to VAT in the supplier's country.",
        "Im Land des Leistenden nicht steuerbar.",
    ),
}
"""What holds where the file says nothing, made of the domestic rate."""


def _usual(code: str, rates: list[VatRate]) -> Iterator[tuple[str, VatRate]]:
    named = {(rate.treatment, rate.country) for rate in rates}
    domestic = next((r.basis_points for r in rates if r.treatment == VatTreatment.DOMESTIC), 0)
    for treatment, make in _USUAL.items():
        if (treatment.value, "*") not in named:
            basis_points, note_en, note_de = make(domestic)
            rate = VatRate(code, treatment.value, "*", basis_points, note_en, note_de)
            yield f"{_WHERE}.vat ({treatment.value})", rate


def read_details(entry: Mapping[str, object], where: str, faults: Faults) -> BillingDetails | None:
    """An account's details, or None after their faults were noted."""
    if (found := faults.decode(_BillingDetails, entry, where)) is None:
        return None
    return BillingDetails(
        str(found.account),
        str(found.name),
        tuple(map(str, found.address)),
        str(found.country),
        _told(found.vat_id),
        found.language,
    )
