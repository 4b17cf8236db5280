"""Amounts: exact both ways, or refused."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger import money

AMOUNTS = st.integers(-money.AMOUNT_MAX_MICRO, money.AMOUNT_MAX_MICRO)


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (45_300, "0.0453"),
        (100_000, "0.10"),
        (1_000_000, "1.00"),
        (12_500_000, "12.50"),
        (12_345_678, "12.345678"),
        (-45_300, "-0.0453"),
        (money.AMOUNT_MAX_MICRO, "9223372036854.775807"),
    ],
)
def test_amount_is_written_with_as_few_places_as_are_exact(micro: int, text: str) -> None:
    assert money.format_amount(micro) == text
    assert money.parse_amount(text, signed=True) == micro


@pytest.mark.parametrize(("text", "micro"), [("0", 0), ("7", 7_000_000), ("0.5", 500_000)])
def test_amount_is_read_when_it_has_fewer_places(text: str, micro: int) -> None:
    assert money.parse_amount(text) == micro


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "not_decimal") for text in ("", ".", "1.", ".5", "1,5", "1e3", "+1", " 1", "1\n")),
        *((text, "not_decimal") for text in ("0x1", "1_000", "٣", "NaN", "Infinity", "--1", "007")),
        ("0.0000001", "not_decimal"),
        ("1.0000000", "not_decimal"),
        ("-1", "negative"),
        ("-0", "negative"),
        ("9223372036854.775808", "out_of_range"),
        ("9" * 5_000, "out_of_range"),
    ],
)
def test_amount_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(money.InvalidAmount) as refusal:
        money.parse_amount(text)

    assert refusal.value.reason == reason
    assert len(text) < 5 or text not in str(refusal.value)


@given(AMOUNTS)
def test_amount_comes_back_when_written_and_read(micro: int) -> None:
    text = money.format_amount(micro)

    assert money.parse_amount(text, signed=True) == micro
    assert Decimal(text) * money.MICRO_PER_UNIT == micro


@given(st.text("0123456789.-+e _", max_size=24))
def test_amount_agrees_with_decimal_when_accepted(text: str) -> None:
    try:
        micro = money.parse_amount(text, signed=True)
    except money.InvalidAmount:
        return
    assert micro == Decimal(text) * money.MICRO_PER_UNIT


def test_amounts_come_back_when_many_are_random() -> None:
    rng = random.Random(1_000_000)
    for _ in range(50_000):
        micro = int(rng.random() * 10 ** rng.randrange(1, 19))
        assert money.parse_amount(money.format_amount(micro)) == micro
