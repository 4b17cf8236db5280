"""Amounts of money: whole micro-units inside, decimal strings outside, floats nowhere.

1 EUR = 1,000,000 micro. An amount fits a PostgreSQL bigint.
"""

from __future__ import annotations

import re
from typing import Final

CURRENCIES: Final = ("EUR", "GBP", "USD")
MICRO_PER_UNIT: Final = 1_000_000
AMOUNT_MAX_MICRO: Final = 2**63 - 1

_UNIT_DIGITS_MAX: Final = len(str(AMOUNT_MAX_MICRO // MICRO_PER_UNIT))
_AMOUNT: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]{1,6}))?")

_MESSAGES: Final = {
    "not_decimal": "an amount is written like 12.50: digits, a point, at most six more digits",
    "negative": "an amount is not negative here",
    "out_of_range": "the amount is too large",
}


class InvalidAmount(ValueError):
    """Not an amount of money; `reason` is "not_decimal", "negative" or "out_of_range"."""

    def __init__(self, reason: str) -> None:
        super().__init__(_MESSAGES[reason])
        self.reason = reason


def parse_amount(text: str, *, signed: bool = False) -> int:
    """Micro-units of a decimal string such as "0.0453". Raises InvalidAmount.

    Exact or refused: no exponent, no plus, no blanks, no superfluous leading zero, at most six
    places. A minus is refused unless `signed`.
    """
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise InvalidAmount("not_decimal")
    sign, units, places = found.groups("")
    if sign and not signed:
        raise InvalidAmount("negative")
    # The length first: Python refuses to read an integer of thousands of digits.
    if len(units) > _UNIT_DIGITS_MAX:
        raise InvalidAmount("out_of_range")
    micro = int(units) * MICRO_PER_UNIT + int(places.ljust(6, "0"))
    if micro > AMOUNT_MAX_MICRO:
        raise InvalidAmount("out_of_range")
    return -micro if sign else micro


def format_amount(micro: int) -> str:
    """The shortest exact decimal string with at least two places: 45_300 is "0.0453"."""
    units, rest = divmod(abs(micro), MICRO_PER_UNIT)
    places = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{units}.{places}"
