"""How a deposit moves, and what is to be done about it by the word of the payments' provider.

A deposit is made step by step (M34 to M39); only once it is ordered is the provider spoken to. A
card is charged and its amount credited together, or neither (M31): the bank holds the amount back
first, the decision is stored, and only what the provider says is charged is credited.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.ledger.holdings import DEPOSIT_MIN_MICRO

DEPOSIT_REASON: Final = "deposit "
"""Of the transfer that credits a deposit: this, and its id."""
VALIDATION_MAX: Final = timedelta(hours=48)
"""So long a card that was never used before may be judged (M29)."""


class DepositState(StrEnum):
    """Where a deposit stands."""

    DRAFT = "draft"
    DETAILS_CONFIRMED = "details_confirmed"
    METHOD_CHOSEN = "method_chosen"
    ORDERED = "ordered"
    PENDING = "pending"
    CREDITED = "credited"
    FAILED = "failed"
    EXPIRED = "expired"


STEPS: Final = (
    DepositState.DRAFT,
    DepositState.DETAILS_CONFIRMED,
    DepositState.METHOD_CHOSEN,
    DepositState.ORDERED,
)
"""The payer's steps, in their order."""

_ENDS = {DepositState.CREDITED, DepositState.FAILED, DepositState.EXPIRED}
MOVES: Final[Mapping[DepositState, AbstractSet[DepositState]]] = {
    DepositState.DRAFT: {DepositState.DETAILS_CONFIRMED, DepositState.EXPIRED},
    DepositState.DETAILS_CONFIRMED: {DepositState.METHOD_CHOSEN, DepositState.EXPIRED},
    DepositState.METHOD_CHOSEN: {DepositState.ORDERED, DepositState.EXPIRED},
    DepositState.ORDERED: {DepositState.PENDING, *_ENDS},
    DepositState.PENDING: {DepositState.CREDITED, DepositState.FAILED},
    # A card that was charged after all is credited: the provider's word is the later evidence.
    DepositState.FAILED: {DepositState.CREDITED},
    DepositState.EXPIRED: {DepositState.CREDITED},
    DepositState.CREDITED: set(),
}
"""What is not here does not happen."""


class PaymentState(StrEnum):
    """What the provider says of a payment."""

    OPEN = "open"
    EXPIRED = "expired"
    HELD = "held"
    CHARGED = "charged"
    CANCELED = "canceled"
    MISSING = "missing"


class PaymentReview(StrEnum):
    """How the provider's own look at a payment stands."""

    NONE = "none"
    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PaymentCard:
    """A card as its provider shows it: no number, but what tells it from others."""

    fingerprint: str
    brand: str
    last_digits: str


@dataclass(frozen=True, slots=True)
class Payment:
    """What the provider says; `amount_micro` is what is held, or was charged."""

    state: PaymentState
    payment_id: str | None = None
    amount_micro: int = 0
    currency: str = ""
    card: PaymentCard | None = None
    review: PaymentReview = PaymentReview.NONE


class HoldDecision(StrEnum):
    """What the provider is told to do with money that is held."""

    CAPTURE = "capture"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class DepositStanding:
    """Of a deposit, what a decision hangs on."""

    state: DepositState
    currency: str
    decision: HoldDecision | None = None
    validate_by: datetime | None = None


class DepositAct(StrEnum):
    """What is to be done next."""

    WAIT = "wait"
    HOLD = "hold"
    CAPTURE = "capture"
    CANCEL = "cancel"
    CREDIT = "credit"
    FAIL = "fail"
    EXPIRE = "expire"
    ASK_OPERATOR = "ask_operator"


@dataclass(frozen=True, slots=True)
class PaymentVerdict:
    """What is to be done, and why, in a word for the account."""

    act: DepositAct
    reason: str = ""


def judge(
    deposit: DepositStanding, payment: Payment, is_validated: bool, now: datetime
) -> PaymentVerdict:
    """What follows from a payment. `is_validated`: the account has paid with this card before, and
    that was validated (M33). Asked again with the same words it says the same."""
    if deposit.state not in (DepositState.ORDERED, DepositState.PENDING):
        late = payment.state is PaymentState.CHARGED and deposit.state in _ENDS
        return _of_charged(deposit, payment) if late else PaymentVerdict(DepositAct.WAIT)
    match payment.state:
        case PaymentState.OPEN:
            return PaymentVerdict(DepositAct.WAIT)
        case PaymentState.CHARGED:
            return _of_charged(deposit, payment)
        case PaymentState.HELD:
            return _of_held(deposit, payment, is_validated, now)
        case PaymentState.CANCELED:
            return PaymentVerdict(DepositAct.FAIL, "canceled")
        case PaymentState.EXPIRED if deposit.state is DepositState.ORDERED:
            return PaymentVerdict(DepositAct.EXPIRE, "not_paid_in_time")
        case PaymentState.EXPIRED | PaymentState.MISSING:
            return PaymentVerdict(DepositAct.FAIL, "unknown_payment")


def _of_charged(deposit: DepositStanding, payment: Payment) -> PaymentVerdict:
    if deposit.state is DepositState.CREDITED:
        return PaymentVerdict(DepositAct.WAIT)
    if payment.currency != deposit.currency or payment.amount_micro < DEPOSIT_MIN_MICRO:
        return PaymentVerdict(DepositAct.ASK_OPERATOR, "charged_otherwise")
    return PaymentVerdict(DepositAct.CREDIT)


def _of_held(
    deposit: DepositStanding, payment: Payment, is_validated: bool, now: datetime
) -> PaymentVerdict:
    if deposit.decision is HoldDecision.CANCEL:
        return PaymentVerdict(DepositAct.CANCEL)
    if payment.currency != deposit.currency:
        return PaymentVerdict(DepositAct.CANCEL, "currency_differs")
    if payment.amount_micro < DEPOSIT_MIN_MICRO:
        return PaymentVerdict(DepositAct.CANCEL, "below_minimum")
    if deposit.decision is HoldDecision.CAPTURE:
        return PaymentVerdict(DepositAct.CAPTURE)
    if payment.review is PaymentReview.REFUSED:
        return PaymentVerdict(DepositAct.CANCEL, "card_refused")
    if payment.review is PaymentReview.APPROVED or (
        is_validated and payment.review is PaymentReview.NONE
    ):
        return PaymentVerdict(DepositAct.CAPTURE)
    if deposit.validate_by is None or now < deposit.validate_by:
        return PaymentVerdict(DepositAct.HOLD)
    if payment.review is PaymentReview.OPEN:
        return PaymentVerdict(DepositAct.CANCEL, "not_validated_in_time")
    return PaymentVerdict(DepositAct.CAPTURE)
