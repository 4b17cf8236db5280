"""Premium-rate and other special numbers: for whom they are, and at which price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.rules.compose import Draft, Wish, compose
from shared.rules.line_kinds import LineKind
from shared.rules.lines import Limits, Line, Lines
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.snapshot import Account, Carrier, Configuration

ID = UUID(int=7)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ALLOWED = Account(1, "demo", "EUR", 200, 60, 1, 2, special_numbers=True)
USUAL = replace(ALLOWED, special_numbers=False)
LINE = Line(1, 1, "Sluice", LineKind.ALPHANUMERIC, "FR", True, Limits(None, None, None))
CURRENT = Configuration(
    version=1,
    accounts={1: ALLOWED},
    lines=Lines.of([LINE]),
    prices={(country, "EUR"): 40_000 for country in ("FR", "GB", "IT", "US", "001")},
    special_prices={("FR", "EUR"): 2_000_000},
    carriers={1: Carrier(1, "acme", "smpp", 0, {})},
    routes={"*": (1,)},
    country_limits={},
)
SPECIAL = ("+33899123456", "+19002345678", "+449098765432", "+39899123456", "+870301234567")


@pytest.mark.parametrize("to", SPECIAL)
def test_a_special_number_is_refused_unless_the_account_is_allowed_them(to: str) -> None:
    refusal = compose(CURRENT, USUAL, Wish(to, "hi"), ID, NOW)

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.subject) == (Code.SPECIAL_NUMBER, Subject.RECIPIENT)


def test_an_allowed_account_pays_the_price_of_special_numbers() -> None:
    special = compose(CURRENT, ALLOWED, Wish("+33899123456", "hi"), ID, NOW)
    usual = compose(CURRENT, ALLOWED, Wish("+33612345678", "hi"), ID, NOW)

    assert isinstance(special, Draft)
    assert isinstance(usual, Draft)
    assert (special.price_micro, usual.price_micro) == (2_000_000, 40_000)


@pytest.mark.parametrize("to", [to for to in SPECIAL if not to.startswith("+33")])
def test_a_special_number_is_never_sent_to_at_the_price_of_its_country(to: str) -> None:
    refusal = compose(CURRENT, ALLOWED, Wish(to, "hi"), ID, NOW)

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.UNSUPPORTED_COUNTRY


@pytest.mark.parametrize("to", ["+33912345678", "+33800123456", "+390899123456"])
def test_other_numbers_that_are_no_mobiles_are_as_before(to: str) -> None:
    assert isinstance(compose(CURRENT, USUAL, Wish(to, "hi"), ID, NOW), Draft)
