"""A provider of card payments to practise on: its pages, payments, clock and events, in memory.

Its words are Stripe's (API reference, "Checkout Sessions", "PaymentIntents", "Reviews",
"Disputes"), for that is what the product's adapter speaks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

HELD_SECONDS: Final = 7 * 86_400
"""So long a card's bank holds an amount back."""
PAGE_SECONDS_MIN, PAGE_SECONDS_MAX = 1_800, 86_400
"""How long a page may be open."""
CENTS_MIN, CENTS_MAX = 50, 99_999_999
CURRENCIES: Final = ("eur", "gbp", "usd")
DECLINED: Final = "declined"
"""A card of this name is; one whose name begins with "review" is looked at by the provider, and one
whose name begins with "bounced" is held, but cannot be charged."""

PaymentObject = dict[str, Any]
OnEvent = Callable[[str, PaymentObject], None]


class CallRefused(Exception):
    """A call that is answered with an error: its HTTP status, its code, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(slots=True)
class SimulatedPayment:
    """One page, and what was paid on it."""

    session_id: str
    cents: int
    currency: str
    reference: str
    metadata: dict[str, str]
    expires_at: int
    page_status: str = "open"
    intent_id: str | None = None
    intent_status: str = "requires_payment_method"
    card: str = ""
    held_at: float = 0.0
    capturable: int = 0
    received: int = 0
    charge_count: int = 0
    review: PaymentObject | None = None
    disputes: dict[str, PaymentObject] = field(default_factory=dict)

    def session(self, url: str) -> PaymentObject:
        """A Checkout Session with its payment expanded."""
        return {
            "id": self.session_id,
            "object": "checkout.session",
            "mode": "payment",
            "status": self.page_status,
            "url": url if self.page_status == "open" else None,
            "amount_total": self.cents,
            "currency": self.currency,
            "client_reference_id": self.reference,
            "metadata": self.metadata,
            "expires_at": self.expires_at,
            "payment_intent": self.intent() if self.intent_id else None,
        }

    def intent(self) -> PaymentObject:
        """A PaymentIntent with its card and review expanded."""
        return {
            "id": self.intent_id,
            "object": "payment_intent",
            "status": self.intent_status,
            "amount": self.cents,
            "amount_capturable": self.capturable,
            "amount_received": self.received,
            "currency": self.currency,
            "capture_method": "manual",
            "metadata": self.metadata,
            "payment_method": {
                "id": f"pm_{self.fingerprint[:16]}",
                "object": "payment_method",
                "type": "card",
                "card": {
                    "fingerprint": self.fingerprint,
                    "brand": "visa",
                    "last4": f"{int(self.fingerprint[:6], 16) % 10_000:04d}",
                },
            },
            "review": self.review,
        }

    @property
    def fingerprint(self) -> str:
        """What tells the card from others."""
        return hashlib.sha256(self.card.encode()).hexdigest()[:16]


class PaymentBooks:
    """All pages and payments. `on_event` is told of what a provider would tell."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._ahead_seconds = 0.0
        self._number = 0
        self._run = f"{int(time.time()) & 0xFFFFFFFF:08x}"
        self.payments: dict[str, SimulatedPayment] = {}
        self.by_intent: dict[str, SimulatedPayment] = {}

    def now(self) -> float:
        """The provider's clock."""
        return time.time() + self._ahead_seconds

    def forward(self, seconds: float) -> None:
        """Let so much time pass at the provider: pages close, banks let go of what they hold."""
        self._ahead_seconds += seconds
        for payment in self.payments.values():
            self._age(payment)

    def _id(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{self._run}{self._number:08d}"

    def _age(self, payment: SimulatedPayment) -> None:
        if payment.page_status == "open" and payment.expires_at <= self.now():
            payment.page_status = "expired"
            self._on_event("checkout.session.expired", payment.session(""))
        if (
            payment.intent_status == "requires_capture"
            and payment.held_at + HELD_SECONDS <= self.now()
        ):
            self._let_go(payment)

    def _let_go(self, payment: SimulatedPayment) -> None:
        payment.intent_status, payment.capturable = "canceled", 0
        self._on_event("payment_intent.canceled", payment.intent())

    def open_page(
        self, cents: int, currency: str, reference: str, metadata: dict[str, str], expires_at: int
    ) -> SimulatedPayment:
        """A page on which so much is paid. Raises CallRefused."""
        if currency not in CURRENCIES or not CENTS_MIN <= cents <= CENTS_MAX:
            raise CallRefused(400, "amount_invalid", "No such amount can be charged.")
        left = expires_at - self.now()
        if not PAGE_SECONDS_MIN <= left <= PAGE_SECONDS_MAX:
            raise CallRefused(
                400, "parameter_invalid_integer", "expires_at: 30 minutes to 24 hours from now."
            )
        payment = SimulatedPayment(
            self._id("cs_test"), cents, currency, reference, metadata, expires_at
        )
        self.payments[payment.session_id] = payment
        return payment

    def page(self, session_id: str) -> SimulatedPayment:
        """Raises CallRefused."""
        payment = self.payments.get(session_id)
        if payment is None:
            raise CallRefused(404, "resource_missing", "No such checkout.session.")
        self._age(payment)
        return payment

    def paid(self, intent_id: str) -> SimulatedPayment:
        """Raises CallRefused."""
        payment = self.by_intent.get(intent_id)
        if payment is None:
            raise CallRefused(404, "resource_missing", "No such payment_intent.")
        self._age(payment)
        return payment

    def enter_card(self, session_id: str, card: str) -> bool:
        """A payer enters a card on the page; False where it is declined, or the page is closed."""
        payment = self.page(session_id)
        if payment.page_status != "open" or card == DECLINED:
            return False
        payment.card, payment.intent_id = card, self._id("pi")
        payment.page_status, payment.intent_status = "complete", "requires_capture"
        payment.capturable, payment.held_at = payment.cents, self.now()
        self.by_intent[payment.intent_id] = payment
        if card.startswith("review"):
            payment.review = {
                "id": self._id("prv"),
                "object": "review",
                "open": True,
                "payment_intent": payment.intent_id,
                "closed_reason": None,
            }
            self._on_event("review.opened", payment.review)
        self._on_event("payment_intent.amount_capturable_updated", payment.intent())
        completed = payment.session("") | {"payment_intent": payment.intent_id}
        self._on_event("checkout.session.completed", completed)
        return True

    def capture(self, intent_id: str) -> SimulatedPayment:
        """Charge what is held. Raises CallRefused."""
        payment = self.paid(intent_id)
        if payment.intent_status != "requires_capture":
            raise CallRefused(
                400, "payment_intent_unexpected_state", f"It is {payment.intent_status}."
            )
        if payment.card.startswith("bounced"):
            raise CallRefused(402, "card_declined", "The card was declined.")
        payment.received, payment.capturable = payment.capturable, 0
        payment.intent_status = "succeeded"
        payment.charge_count += 1
        self._on_event("payment_intent.succeeded", payment.intent())
        return payment

    def cancel(self, intent_id: str) -> SimulatedPayment:
        """Let go of what is held. Raises CallRefused."""
        payment = self.paid(intent_id)
        if payment.intent_status != "requires_capture":
            raise CallRefused(
                400, "payment_intent_unexpected_state", f"It is {payment.intent_status}."
            )
        self._let_go(payment)
        return payment

    def close_review(self, intent_id: str, reason: str) -> None:
        """The provider has looked at the payment: `approved`, or why not. Raises CallRefused."""
        payment = self.paid(intent_id)
        if payment.review is None:
            raise CallRefused(404, "resource_missing", "No such review.")
        payment.review |= {"open": False, "closed_reason": reason}
        self._on_event("review.closed", payment.review)

    def dispute(self, intent_id: str, status: str, reason: str = "fraudulent") -> PaymentObject:
        """The payer's bank takes the money back, or has said what becomes of it."""
        payment = self.paid(intent_id)
        if payment.intent_status != "succeeded":
            raise CallRefused(400, "charge_not_refundable", "Nothing was charged.")
        is_new = not payment.disputes
        dispute = next(iter(payment.disputes.values()), None) or {
            "id": self._id("dp"),
            "object": "dispute",
            "amount": payment.received,
            "currency": payment.currency,
            "reason": reason,
            "payment_intent": intent_id,
            "metadata": {},
        }
        dispute = dispute | {"status": status}
        payment.disputes[dispute["id"]] = dispute
        word = "created" if is_new else "closed" if status in ("won", "lost") else "updated"
        self._on_event(f"charge.dispute.{word}", dispute)
        return dispute
