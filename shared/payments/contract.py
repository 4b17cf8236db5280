"""What a provider of card payments is asked for, and what it may answer.

A provider is a stranger (law 7): an adapter turns its words into those of
`shared/ledger/deposits.py`. Every call ends within CALL_SECONDS, and may be repeated: what changes
something is told apart by a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from shared.ledger.deposits import Payment

CALL_SECONDS: Final = 10.0
"""For all of a call to the provider."""
EVENT_AGE_SECONDS: Final = 300
"""An event that was signed longer ago is not believed: it may be a recording."""
CHECKOUT_SECONDS: Final = 2 * 3600
"""So long the page on which a card is entered stays open."""


class ProviderUnavailable(Exception):
    """No answer, or none that says what became of it: ask again later, under the same key."""


class PaymentRefused(Exception):
    """The provider will not do it, and nothing was done; `code` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ForgedEvent(Exception):
    """An event that is not the provider's, or no longer; the text says which."""


@dataclass(frozen=True, slots=True)
class ProviderMeans:
    """How a provider is reached. `return_url` is where a payer's browser goes afterwards; `url` is
    empty for the provider's own."""

    api_key: str = field(repr=False)
    event_secrets: tuple[str, ...] = field(repr=False)
    url: str
    return_url: str


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """A payment to be made. It is the same however often it is asked for."""

    deposit_id: UUID
    amount_micro: int
    currency: str
    ordered_at: datetime


@dataclass(frozen=True, slots=True)
class Checkout:
    """The provider's page on which a card is entered: no card's number ever comes here."""

    session_id: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PaymentDispute:
    """A payer's bank takes money back."""

    dispute_id: str
    amount_micro: int
    currency: str
    reason: str
    status: str
    is_over: bool


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """Something that the provider tells of a payment. What became of it is asked for."""

    event_id: str
    type: str
    made_at: datetime
    deposit_id: UUID | None
    payment_id: str | None
    dispute: PaymentDispute | None


class Provider(Protocol):
    """What an adapter does. Each call raises ProviderUnavailable or PaymentRefused."""

    name: str

    async def open_checkout(self, order: CheckoutOrder) -> Checkout:
        """A page on which the order is paid: the amount is held back, not charged."""
        ...

    async def find(self, session_id: str) -> Payment:
        """How the payment stands of this page."""
        ...

    async def capture(self, payment_id: str, key: str) -> None:
        """Charge what is held."""
        ...

    async def cancel(self, payment_id: str, key: str) -> None:
        """Let go of what is held: no charge."""
        ...

    def read_event(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent | None:
        """What an event says; None for one that is about nothing of ours. Raises ForgedEvent."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...
