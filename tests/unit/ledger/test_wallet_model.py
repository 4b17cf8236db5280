"""The rules of wallets and deposits against a model of their own, over all sequences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from shared.ledger import refunds
from shared.ledger.deposits import (
    MOVES,
    DepositAct,
    DepositStanding,
    DepositState,
    HoldDecision,
    Payment,
    PaymentReview,
    PaymentState,
    judge,
)
from shared.ledger.holdings import Holdings, WalletTooEmpty
from shared.ledger.transfers import ROADS, Book, Kind
from shared.sms.states import SegmentState
from tests.wallet_model import (
    DEPOSIT_MICRO,
    OPERATIONS,
    OTHER,
    PRICE_MICRO,
    SWITCH_MICRO,
    WalletModel,
)

LENGTH_MAX = 8
NOW = datetime(2026, 11, 26, tzinfo=UTC)


class _Ours(NamedTuple):
    """The same account by our rules, and the platform's books beside it."""

    active: str = "EUR"
    balances: tuple[tuple[str, int], ...] = ()
    deposits: tuple[tuple[DepositState, str], ...] = ()
    unsettled: tuple[str, ...] = ()
    books: tuple[tuple[str, str, int], ...] = ()

    @property
    def holdings(self) -> Holdings:
        return Holdings(self.active, dict(self.balances))

    def moved(self, held: Holdings, kind: Kind, currency: str, amount_micro: int) -> _Ours:
        """After a transfer, of which both ends are written down."""
        books = {(book, each): micro for book, each, micro in self.books}
        for book, sign in zip(ROADS[kind], (-1, 1), strict=True):
            books[book, currency] = books.get((book, currency), 0) + sign * amount_micro
        return self._replace(
            active=held.active,
            balances=tuple(sorted(held.balances_micro.items())),
            books=tuple(sorted((book, each, micro) for (book, each), micro in books.items())),
        )

    def standing(self, state: DepositState) -> int | None:
        """The oldest deposit in this state."""
        places = [place for place, each in enumerate(self.deposits) if each[0] is state]
        return places[0] if places else None

    def deposit_moved(self, place: int, state: DepositState) -> _Ours:
        before, currency = self.deposits[place]
        assert state in MOVES[before]
        ended = state in (DepositState.CREDITED, DepositState.FAILED)
        changed = () if ended else ((state, currency),)
        rest = self.deposits[:place] + self.deposits[place + 1 :]
        return self._replace(deposits=(*rest, *changed))


def _judged(
    state: DepositState, payment: PaymentState, currency: str, *, is_validated: bool = False
) -> DepositAct:
    said = Payment(payment, "pi", DEPOSIT_MICRO, currency)
    return judge(DepositStanding(state, currency), said, is_validated, NOW).act


def _credited(ours: _Ours, currency: str, amount_micro: int) -> _Ours:
    held = ours.holdings.with_deposit(currency, amount_micro)
    return ours.moved(held, Kind.CREDIT, currency, amount_micro)


def _after(ours: _Ours, operation: str) -> _Ours | None:
    """What our rules make of it; None where they refuse."""
    ordered, pending = DepositState.ORDERED, DepositState.PENDING
    match operation:
        case "deposit":
            return ours._replace(deposits=(*ours.deposits, (ordered, ours.active)))
        case "pending":
            if (place := ours.standing(ordered)) is None:
                return None
            currency = ours.deposits[place][1]
            assert _judged(ordered, PaymentState.HELD, currency) is DepositAct.HOLD
            return ours.deposit_moved(place, pending)
        case "confirm" | "fail":
            if (place := ours.standing(pending)) is None:
                return None
            currency = ours.deposits[place][1]
            if operation == "fail":
                assert _judged(pending, PaymentState.CANCELED, currency) is DepositAct.FAIL
                return ours.deposit_moved(place, DepositState.FAILED)
            assert _judged(pending, PaymentState.CHARGED, currency) is DepositAct.CREDIT
            return _credited(
                ours.deposit_moved(place, DepositState.CREDITED), currency, DEPOSIT_MICRO
            )
        case "switch":
            currency = OTHER[ours.active]
            known = _judged(ordered, PaymentState.HELD, currency, is_validated=True)
            assert known is DepositAct.CAPTURE
            assert _judged(ordered, PaymentState.CHARGED, currency) is DepositAct.CREDIT
            return _credited(ours, currency, SWITCH_MICRO)
        case _:
            return _sent(ours, operation)


def _sent(ours: _Ours, operation: str) -> _Ours | None:
    if operation == "send":
        try:
            held = ours.holdings.with_debit(PRICE_MICRO)
        except WalletTooEmpty:
            return None
        paid = ours.moved(held, Kind.DEBIT, ours.active, PRICE_MICRO)
        return paid._replace(unsettled=(*ours.unsettled, ours.active))
    if not ours.unsettled:
        return None
    first, *rest = ours.unsettled
    accepted = operation == "settle"
    state = SegmentState.DELIVERED if accepted else SegmentState.REJECTED
    settled = ours._replace(unsettled=tuple(rest))
    if not refunds.is_due(state, accepted):
        return settled
    held = ours.holdings.with_refund(first, PRICE_MICRO)
    return settled.moved(held, Kind.REFUND, first, PRICE_MICRO)


def _compare(ours: _Ours, model: WalletModel) -> None:
    held = ours.holdings
    assert held.active == model.active
    assert held.spendable_micro == model.balance_micro(model.active)
    dormant = {k: v for k, v in model.balances_micro.items() if v and k != model.active}
    assert held.dormant_micro == dormant
    # Nothing was made, lost or mixed: in each currency all books together are zero.
    for currency in OTHER:
        assert sum(micro for _, each, micro in ours.books if each == currency) == 0
        mine = [m for book, each, m in ours.books if (book, each) == (Book.CUSTOMER, currency)]
        assert sum(mine) == model.balance_micro(currency) >= 0
    pending = [each for state, each in ours.deposits if state is DepositState.PENDING]
    assert sorted(pending) == sorted(model.held)


def test_m41_m42_m43_m44_m45_m46_the_rules_are_those_of_the_model_over_all_sequences() -> None:
    # Given an account without money
    seen: dict[tuple[_Ours, WalletModel], int] = {(_Ours(), WalletModel()): 1}
    sequence_count = 0
    for _ in range(LENGTH_MAX):
        # When each of the operations follows each sequence of one less
        following: dict[tuple[_Ours, WalletModel], int] = {}
        for (ours, model), count in seen.items():
            for operation in OPERATIONS:
                after, wanted = _after(ours, operation), model.after(operation)
                # Then the rules allow what the model allows, and come to the same
                assert (after is None) == (wanted is None), (operation, ours, model)
                state = (after or ours, wanted or model)
                if after is not None and wanted is not None:
                    _compare(after, wanted)
                following[state] = following.get(state, 0) + count
                sequence_count += count
        seen = following
    print(f"\n{sequence_count:,} sequences, {len(seen):,} ends")
    assert sequence_count == sum(len(OPERATIONS) ** n for n in range(1, LENGTH_MAX + 1))


def test_a_model_that_mixes_currencies_is_told_from_the_rules() -> None:
    # Given rules of which a refund goes to the active wallet, Then the comparison fails
    ours, model = _Ours(), WalletModel()
    for operation in ("switch", "send", "switch"):
        ours, model = _after(ours, operation) or ours, model.after(operation) or model
    _compare(ours, model)
    wrong = ours.holdings.with_refund(ours.active, PRICE_MICRO)
    refunded = model.after("refund")
    assert refunded is not None
    with pytest.raises(AssertionError):
        _compare(ours.moved(wrong, Kind.REFUND, ours.active, PRICE_MICRO), refunded)


_LATER = NOW + timedelta(hours=1)
_BEFORE = NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("review", "is_validated", "validate_by", "decision", "act"),
    [
        (PaymentReview.NONE, False, None, None, DepositAct.HOLD),
        (PaymentReview.NONE, False, _LATER, None, DepositAct.HOLD),
        (PaymentReview.NONE, False, _BEFORE, None, DepositAct.CAPTURE),
        (PaymentReview.NONE, True, None, None, DepositAct.CAPTURE),
        (PaymentReview.OPEN, True, None, None, DepositAct.HOLD),
        (PaymentReview.OPEN, False, _BEFORE, None, DepositAct.CANCEL),
        (PaymentReview.APPROVED, False, _LATER, None, DepositAct.CAPTURE),
        (PaymentReview.REFUSED, True, None, None, DepositAct.CANCEL),
        (PaymentReview.REFUSED, False, _LATER, HoldDecision.CAPTURE, DepositAct.CAPTURE),
        (PaymentReview.APPROVED, True, _LATER, HoldDecision.CANCEL, DepositAct.CANCEL),
    ],
)
def test_m28_m29_m31_m32_m33_what_becomes_of_a_held_amount(
    review: PaymentReview,
    is_validated: bool,
    validate_by: datetime | None,
    decision: HoldDecision | None,
    act: DepositAct,
) -> None:
    payment = Payment(PaymentState.HELD, "pi", DEPOSIT_MICRO, "EUR", None, review)
    for state in (DepositState.ORDERED, DepositState.PENDING):
        standing = DepositStanding(state, "EUR", decision, validate_by)
        assert judge(standing, payment, is_validated, NOW).act is act


def test_what_has_ended_is_changed_by_a_charge_alone() -> None:
    # Given a deposit that has ended, Then no word of the provider moves it, but that it was charged
    for state in (DepositState.FAILED, DepositState.EXPIRED, DepositState.CREDITED):
        for payment in PaymentState:
            verdict = judge(
                DepositStanding(state, "EUR"), Payment(payment, "pi", 5_000_000, "EUR"), True, NOW
            )
            late = payment is PaymentState.CHARGED and state is not DepositState.CREDITED
            assert verdict.act is (DepositAct.CREDIT if late else DepositAct.WAIT)


def test_m42_m43_m45_amounts_stay_where_they_are_and_add_up() -> None:
    # Given 10 EUR, and then USD
    held = Holdings("EUR", {"EUR": 10}).with_deposit("USD", 5_000_000)
    assert (held.spendable_micro, held.dormant_micro) == (5_000_000, {"EUR": 10})
    # When 100 EUR are deposited, Then they add up, and nothing less than one unit wakes them
    for amount_micro in (0, 999_999):
        with pytest.raises(ValueError, match="no deposit"):
            held.with_deposit("EUR", amount_micro)
    with pytest.raises(ValueError, match="no deposit"):
        held.with_deposit("CHF", 5_000_000)
    assert held.with_deposit("EUR", 100_000_000).spendable_micro == 100_000_010
