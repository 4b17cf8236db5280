"""A line of the price list, as everybody reads it (M23)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.ledger import money
from shared.rules.prices import ListedPrice
from shared.shapes.message import Amount, Time

CountryCode = Annotated[
    str,
    Meta(
        pattern="^([A-Z]{2}|001)$",
        description="ISO 3166 alpha-2; 001: numbers that no country owns.",
        examples=["FR"],
    ),
]

CurrencyCode = Literal["EUR", "GBP", "USD"]


class CountryPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment to a country costs, from a moment on until just before another; null: always
    was, without an end. `special` is for premium-rate and other special numbers."""

    country: str
    kind: Literal["usual", "special"]
    currency: str
    amount: Amount
    from_at: Time | None = msgspec.field(name="from")
    until_at: Time | None = msgspec.field(name="until")


def shown(listed: ListedPrice) -> CountryPrice:
    """The line as it is read."""
    return CountryPrice(
        country=listed.country,
        kind="special" if listed.special else "usual",
        currency=listed.currency,
        amount=money.format_amount(listed.period.amount_micro),
        from_at=listed.period.from_at,
        until_at=listed.period.until_at,
    )
