"""What an account writes and reads of its money: wallets, deposits, cards, terms."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native.answers import Money
from services.ingest.native.requests import Time
from shared.shapes.deposit import Deposit

DEPOSIT_COUNT_MAX = 200
CARD_COUNT_MAX = 100

_Amount = Annotated[
    str,
    Meta(description="A decimal string of at least 1 unit, in whole cents.", examples=["400.00"]),
]
_Currency = Annotated[str, Meta(description="EUR, GBP or USD.", examples=["USD"])]


class DepositBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much to put in, in which currency: that will be the account's (M41)."""

    amount: _Amount
    currency: _Currency


class DepositConfirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payment's details, once more: they must be those of the deposit."""

    amount: _Amount
    currency: _Currency


class DepositMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it is paid."""

    method: Annotated[Literal["card"], Meta(description="Credit card.")]


class DepositOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order: nothing is ordered before it. `accept_terms` is the box that the payer ticks,
    beneath the text of that version (GET /v1/terms)."""

    terms_version: Annotated[str, Meta(max_length=32)]
    accept_terms: bool


class DepositQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deposits to list."""

    limit: Annotated[int, Meta(ge=1, le=DEPOSIT_COUNT_MAX)] = 50
    cursor: Annotated[str, Meta(description="The cursor of the page before.")] | UnsetType = UNSET


class DepositPage(msgspec.Struct, frozen=True):
    """Deposits, newest first; `cursor` leads to the next page and is null on the last."""

    deposits: list[Deposit]
    cursor: str | None


class Balance(Money, frozen=True, kw_only=True):
    """What messages can be paid with. `pending` is not in it, nor in any wallet: cards that are
    being validated. `dormant` lies in other currencies, out of reach until a deposit in such a
    currency makes it the account's again."""

    pending: list[Money]
    dormant: list[Money]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card that the account has paid with; its number is with the provider alone. Once it is
    validated, deposits with it are credited without delay."""

    id: int
    brand: str
    last_digits: str
    created_at: Time
    validated_at: Time | None


class CardList(msgspec.Struct, frozen=True):
    """The account's cards, the newest first."""

    cards: list[Card]


class CurrentTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is agreed to with an order, in English and in German."""

    version: str
    text_en: str
    text_de: str
    published_at: Time


deposit_decoder = msgspec.json.Decoder(DepositBody)
confirmation_decoder = msgspec.json.Decoder(DepositConfirmation)
method_decoder = msgspec.json.Decoder(DepositMethod)
order_decoder = msgspec.json.Decoder(DepositOrder)
