"""Caps on spending and the guard against traffic pumping: what passes, and what not until when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rules.compose import Draft
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.spending import (
    EVERYWHERE,
    SLOT_COUNTS,
    CapOwner,
    CapsInForce,
    SpendingCap,
    SpendWindow,
)
from shared.rules.usage_slots import SLOT_SECONDS, SlotUse, enough_returns_at
from shared.rules.velocity import CountryPace, GuardInForce, VelocityGuard
from tests import drafts

SLOT = 2_000_000
PRICE_MICRO = 40_000


def message(country: str = "FR") -> Draft:
    return drafts.draft(1, 2, PRICE_MICRO, country=country)


def cap(
    limit_micro: int,
    *uses: SlotUse,
    country: str = EVERYWHERE,
    window: SpendWindow = SpendWindow.HOUR,
    owner: CapOwner = CapOwner.ACCOUNT,
) -> SpendingCap:
    return SpendingCap(country, owner, window, limit_micro, uses)


def moment(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 80))
def test_enough_returns_when_the_sum_of_what_has_ended_suffices(
    amounts: list[int], needed: int
) -> None:
    uses = [SlotUse(SLOT + index, amount) for index, amount in enumerate(amounts)]
    at = enough_returns_at(uses, needed, 4)
    for index in range(len(uses)):
        gone_at = moment(uses[index].slot + 5)
        returned = sum(amounts[: index + 1])
        assert (at is not None and at <= gone_at) == (returned >= needed)
    if not uses:
        assert at is None


def test_a_cap_lets_pass_exactly_what_it_says() -> None:
    # Given room for three messages, of which one has been sent
    caps = CapsInForce([cap(3 * PRICE_MICRO, SlotUse(SLOT, PRICE_MICRO))], "EUR")

    # When messages are taken one after the other, Then two pass
    passed = 0
    while caps.against(message()) is None:
        caps.take(message())
        passed += 1
    assert passed == 2

    # And the next is told what is against it, whose it is, and until when
    refusal = caps.against(message())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.subject) == (Code.SPEND_CAP_REACHED, None)
    assert "within one hour" in refusal.detail
    assert "the account's own" in refusal.detail
    assert refusal.possible_at == moment(SLOT + 5)


def test_messages_that_were_counted_are_judged_as_if_they_were_not() -> None:
    # Given uses that have two messages in them which are still to be judged
    already = [message(), message()]
    uses = SlotUse(SLOT, 2 * PRICE_MICRO)
    caps = CapsInForce([cap(2 * PRICE_MICRO, uses)], "EUR", already)
    narrow = CapsInForce([cap(2 * PRICE_MICRO - 1, uses)], "EUR", already)

    # Then both pass where both may, and one where one may
    for each, expected in ((caps, 2), (narrow, 1)):
        passed = 0
        for one in already:
            if each.against(one) is None:
                each.take(one)
                passed += 1
        assert passed == expected


def test_a_cap_on_a_country_is_against_that_country_alone() -> None:
    caps = CapsInForce([cap(0, country="DE", owner=CapOwner.OPERATOR)], "EUR")
    assert caps.against(message()) is None
    refusal = caps.against(message("DE"))
    assert isinstance(refusal, Refusal)
    assert refusal.subject is Subject.RECIPIENT
    assert "on messages to DE" in refusal.detail
    assert "the operator's" in refusal.detail
    assert refusal.possible_at is None


@pytest.mark.parametrize("window", SpendWindow)
def test_what_was_spent_returns_after_its_window(window: SpendWindow) -> None:
    caps = CapsInForce([cap(PRICE_MICRO, SlotUse(SLOT, PRICE_MICRO), window=window)], "EUR")
    refusal = caps.against(message())
    assert isinstance(refusal, Refusal)
    assert refusal.possible_at == moment(SLOT + SLOT_COUNTS[window] + 1)


def guarded(*, busiest: int, recent: int = 0, lifted: bool = False) -> GuardInForce:
    uses = (SlotUse(SLOT, recent),) if recent else ()
    pace = CountryPace(uses, busiest, lifted)
    return GuardInForce(VelocityGuard(floor_count=10, factor=3), {"FR": pace})


@pytest.mark.parametrize(
    ("busiest", "recent", "allowed"), [(0, 0, 10), (2, 0, 10), (5, 0, 15), (5, 12, 15)]
)
def test_so_much_passes_as_the_floor_or_the_accounts_own_past_allow(
    busiest: int, recent: int, allowed: int
) -> None:
    guard = guarded(busiest=busiest, recent=recent)
    passed = 0
    while guard.against(message()) is None:
        guard.take(message())
        passed += 1
    assert passed == allowed - recent


def test_what_is_held_back_is_told_why_and_until_when() -> None:
    refusal = guarded(busiest=4, recent=12).against(message())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.subject) == (Code.VELOCITY_GUARD, Subject.RECIPIENT)
    for words in ("to FR", "13 segments", "lets 12 pass", "had 4", "The operator can lift it"):
        assert words in refusal.detail
    assert refusal.possible_at == moment(SLOT + 5)


def test_where_the_operator_has_lifted_it_everything_passes() -> None:
    assert guarded(busiest=0, recent=999, lifted=True).against(message()) is None


def test_a_country_that_nothing_is_known_of_has_the_floor() -> None:
    guard = GuardInForce(VelocityGuard(1, 3), {})
    assert guard.against(message()) is None
    guard.take(message())
    assert guard.against(message()) is not None
