"""A deposit and where it stands, as its account reads it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.db.deposits import StoredDeposit
from shared.ledger import money
from shared.ledger.deposits import DepositState
from shared.shapes.message import Amount, Time


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way into the account's wallet of its currency. Only what is `credited` can be
    spent: `credited_amount` is what the card was charged. While it is `pending` the card, which was
    never used before, is validated, until `validated_by` at the latest."""

    deposit_id: UUID = msgspec.field(name="id")
    state: DepositState
    reason: str
    amount: Amount
    currency: str
    method: Literal["card"] | None
    terms_version: str | None
    terms_accepted_at: Time | None
    terms_accepted_by: str | None
    checkout_url: Annotated[
        str | None,
        Meta(description="Where the card is entered, with the provider, while it is ordered."),
    ]
    pending_amount: Amount | None
    credited_amount: Amount | None
    created_at: Time
    ordered_at: Time | None
    validated_by: Time | None
    ended_at: Time | None
    expires_at: Annotated[
        Time, Meta(description="When it is given up, unless it was ordered by then.")
    ]


def shown(stored: StoredDeposit) -> Deposit:
    """The deposit as it stands."""
    return msgspec.convert(
        {
            "id": stored.deposit_id,
            "state": stored.state,
            "reason": stored.reason,
            "amount": money.format_amount(stored.amount_micro),
            "currency": stored.currency,
            "method": stored.method,
            "terms_version": stored.terms_version,
            "terms_accepted_at": stored.terms_accepted_at,
            "terms_accepted_by": stored.terms_accepted_by,
            "checkout_url": stored.checkout_url if stored.state == "ordered" else None,
            "pending_amount": _amount(stored.held_micro) if stored.state == "pending" else None,
            "credited_amount": _amount(stored.credited_micro),
            "created_at": stored.created_at,
            "ordered_at": stored.ordered_at,
            "validated_by": stored.validate_by,
            "ended_at": stored.ended_at,
            "expires_at": stored.expires_at,
        },
        Deposit,
    )


def _amount(amount_micro: int | None) -> str | None:
    return None if amount_micro is None else money.format_amount(amount_micro)
