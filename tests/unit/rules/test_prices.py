"""What a segment costs, and when: the price list, and the one function that charges by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commands.configuration import file
from shared.db.prices import Price, SpecialPrice
from shared.ledger import money
from shared.rules import compose, prices
from shared.rules.compose import Draft, Quote, Wish
from shared.rules.line_kinds import LineKind
from shared.rules.lines import Limits, Line, Lines
from shared.rules.price_periods import PricePeriod, amount_at, timeline
from shared.rules.refusals import Code, Refusal
from shared.rules.snapshot import Account, Carrier, Configuration

ROOT = Path(__file__).parents[3]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ACCOUNT = Account(1, "demo", "EUR", 200, 60, 1, 2, special_numbers=True, international=True)
LINE = Line(1, 1, "Sluice", LineKind.ALPHANUMERIC, "FR", True, Limits(None, None, None))
CURRENT = Configuration(
    version=1,
    accounts={1: ACCOUNT},
    lines=Lines.of([LINE]),
    prices={("FR", "EUR"): 40_000},
    special_prices={("FR", "EUR"): 2_000_000},
    carriers={1: Carrier(1, "acme", "smpp", 0, {})},
    routes={"*": (1,)},
    country_limits={},
)
PARIS = "+33612345678"


def at(days: int | None) -> datetime | None:
    return None if days is None else NOW + timedelta(days=days)


def period(from_days: int | None, until_days: int | None, amount_micro: int) -> PricePeriod:
    return PricePeriod(at(from_days), at(until_days), amount_micro)


def composed(current: Configuration, to: str, now: datetime = NOW) -> Draft | Refusal:
    return compose.compose(current, ACCOUNT, Wish(to, "hi"), UUID(int=7), now)


@pytest.mark.parametrize(
    ("given_prices", "expected"),
    [
        ([period(None, None, 4)], [period(None, None, 4)]),
        # Announced: the other ends when it begins.
        (
            [period(None, None, 4), period(9, None, 5)],
            [period(None, 9, 4), period(9, None, 5)],
        ),
        # For a while: then the other is back.
        (
            [period(None, None, 4), period(2, 5, 3)],
            [period(None, 2, 4), period(2, 5, 3), period(5, None, 4)],
        ),
        # Ended: after it nothing is offered.
        ([period(None, 3, 4)], [period(None, 3, 4)]),
        # A change to the same is none.
        ([period(None, None, 4), period(2, None, 4)], [period(None, None, 4)]),
        # With a gap.
        ([period(None, 1, 4), period(3, None, 5)], [period(None, 1, 4), period(3, None, 5)]),
    ],
)
def test_m22_the_price_that_began_last_is_in_force(
    given_prices: Sequence[PricePeriod], expected: Sequence[PricePeriod]
) -> None:
    assert timeline(given_prices) == tuple(expected)


_DAYS = st.none() | st.integers(-5, 5)


@given(
    st.lists(
        st.tuples(_DAYS, _DAYS, st.integers(1, 3)).filter(
            lambda t: t[0] is None or t[1] is None or t[0] < t[1]
        ),
        max_size=5,
        unique_by=lambda t: t[0],
    ),
    st.integers(-7, 7),
)
def test_m22_at_any_moment_the_timeline_tells_what_the_prices_say(
    drawn: list[tuple[int | None, int | None, int]], day: int
) -> None:
    every = [period(*each) for each in drawn]
    moment = NOW + timedelta(days=day)
    holding = [price for price in every if price.holds_at(moment)]
    newest = max(holding, key=lambda price: price.begins_at, default=None)
    found = timeline(every)
    assert amount_at(found, moment) == (None if newest is None else newest.amount_micro)
    for earlier, later in pairwise(found):
        assert earlier.ends_at <= later.begins_at


def test_m22_a_new_price_is_charged_from_its_moment_on_and_not_before() -> None:
    # Given a price that goes up in a day, in a configuration that nobody loads anew
    changing = replace(
        CURRENT,
        prices={},
        price_periods={("FR", "EUR"): timeline([period(None, None, 40_000), period(1, 2, 50_000)])},
    )

    # Then each message has the price of its moment, also when it is to leave later
    for days, price_micro in ((0, 40_000), (1, 50_000), (2, 40_000)):
        draft = composed(changing, PARIS, NOW + timedelta(days=days))
        assert isinstance(draft, Draft)
        assert draft.segment_price_micro == price_micro
    last = NOW + timedelta(days=1, microseconds=-1)
    before = composed(changing, PARIS, last)
    assert isinstance(before, Draft)
    assert before.segment_price_micro == 40_000


def test_m02_without_a_price_the_country_is_not_offered() -> None:
    for to in ("+4915123456789", "+8821612345678"):
        refusal = composed(CURRENT, to)
        assert isinstance(refusal, Refusal)
        assert refusal.code in (Code.UNSUPPORTED_COUNTRY, Code.SPECIAL_NUMBER)
    ended = replace(CURRENT, prices={}, price_periods={("FR", "EUR"): (period(None, -1, 40_000),)})
    refusal = composed(ended, PARIS)
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.UNSUPPORTED_COUNTRY


def test_m01_the_sample_catalogue_has_more_than_55_countries_and_reaches_all_of_them() -> None:
    # Given the price list that is shipped
    rows, faults = file.read((ROOT / "deploy/prices.toml").read_text("utf-8"), {})
    assert faults == []
    usual = [row for row in rows if isinstance(row, Price) and not isinstance(row, SpecialPrice)]
    countries = {price.country for price in usual}
    assert len(countries) > 55

    # Then each country has a price in each currency, and a phone of it can be written to
    listed = {(price.country, price.currency): price.amount_micro for price in usual}
    assert len(listed) == len(countries) * len(money.CURRENCIES)
    catalogue = replace(CURRENT, prices=listed)
    for country in sorted(countries):
        number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
        assert number is not None
        to = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        open_account = replace(ACCOUNT, registration_enforced=False)
        fate = compose.compose(catalogue, open_account, Wish(to, "hi"), UUID(int=7), NOW)
        assert isinstance(fate, Draft), (country, fate)
        assert (fate.country, fate.segment_price_micro) == (country, listed[country, "EUR"])


def test_m35_a_quote_is_what_is_charged() -> None:
    for to, text in ((PARIS, "hi"), (PARIS, "ç" * 100), ("+33899123456", "a" * 300)):
        wish = Wish(to, text)
        draft = compose.compose(CURRENT, ACCOUNT, wish, UUID(int=7), NOW)
        quoted = compose.quote(CURRENT, ACCOUNT, "EUR", wish, NOW)
        assert isinstance(draft, Draft)
        assert isinstance(quoted, Quote)
        assert quoted.price_micro == draft.price_micro
        assert quoted.segment_count == draft.segment_count
    assert isinstance(compose.quote(CURRENT, ACCOUNT, "USD", Wish(PARIS, "hi"), NOW), Refusal)


@given(st.integers(0, 2**63 - 1), st.integers(1, 10**9), st.integers(1, 5))
def test_m35_as_many_messages_as_are_paid_for_in_full(
    amount_micro: int, price_micro: int, segment_count: int
) -> None:
    count = prices.affordable_count(amount_micro, price_micro, segment_count)
    assert count * segment_count * price_micro <= amount_micro
    assert (count + 1) * segment_count * price_micro > amount_micro


def test_m23_the_list_has_what_is_in_force_or_announced_and_no_more() -> None:
    changing = replace(
        CURRENT,
        price_periods={
            ("BE", "EUR"): timeline(
                [period(None, None, 1), period(-9, None, 2), period(3, None, 3)]
            )
        },
    )
    found = [tuple(each) for each in prices.listed(changing, NOW)]
    assert found == [
        ("BE", "EUR", False, period(-9, 3, 2)),
        ("BE", "EUR", False, period(3, None, 3)),
        ("FR", "EUR", False, period(None, None, 40_000)),
        ("FR", "EUR", True, period(None, None, 2_000_000)),
    ]
    assert prices.next_change_at(changing, NOW) == at(3)
    assert prices.next_change_at(CURRENT, NOW) is None
