"""The tax within a deposit: which treatment, and to the cent."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.vat import CENT_MICRO, VatTreatment, split, treatment_of


@pytest.mark.parametrize(
    ("seller", "buyer", "vat_id", "expected"),
    [
        ("FR", "FR", None, VatTreatment.DOMESTIC),
        ("FR", "FR", "FR1", VatTreatment.DOMESTIC),
        ("FR", "DE", "DE1", VatTreatment.EU_BUSINESS),
        ("FR", "DE", None, VatTreatment.EU_CONSUMER),
        ("FR", "CH", "CHE1", VatTreatment.ABROAD),
        ("CH", "DE", "DE1", VatTreatment.ABROAD),
        ("US", "US", None, VatTreatment.DOMESTIC),
    ],
)
def test_who_is_charged_is_seen_from_the_sellers_country(
    seller: str, buyer: str, vat_id: str | None, expected: VatTreatment
) -> None:
    assert treatment_of(seller, buyer, vat_id) is expected


@pytest.mark.parametrize(
    ("gross_micro", "basis_points", "vat_micro"),
    [
        (120_000_000, 2_000, 20_000_000),
        (1_000_000, 2_000, 170_000),
        (10_000_000, 1_900, 1_600_000),
        (10_000, 2_000, 0),
        (50_000_000, 0, 0),
        (1_000_000, 810, 70_000),
    ],
)
def test_the_tax_is_within_what_was_paid(
    gross_micro: int, basis_points: int, vat_micro: int
) -> None:
    parts = split(gross_micro, basis_points)
    assert (parts.vat_micro, parts.net_micro) == (vat_micro, gross_micro - vat_micro)


@given(st.integers(1, 10**13), st.integers(0, 10_000))
def test_it_is_to_the_nearest_cent_and_the_parts_are_the_whole(
    cent_count: int, basis_points: int
) -> None:
    gross_micro = cent_count * CENT_MICRO
    parts = split(gross_micro, basis_points)
    assert parts.net_micro + parts.vat_micro == gross_micro
    assert parts.vat_micro % CENT_MICRO == 0
    exact = Fraction(gross_micro * basis_points, 10_000 + basis_points)
    assert abs(parts.vat_micro - exact) <= Fraction(CENT_MICRO, 2)
