"""A verdict as one number: what goes in comes out."""

from __future__ import annotations

from itertools import combinations

import pytest

from shared.rules import verdict_codes
from shared.rules.purposes import Purpose
from shared.rules.verdicts import RULES_VERSION, Reason, Rule, Verdict


@pytest.mark.parametrize("purpose", [None, *Purpose])
def test_a_verdict_comes_back_as_it_was(purpose: Purpose | None) -> None:
    for count in range(len(Reason) + 1):
        for reasons in combinations(Reason, count):
            verdict = Verdict(purpose, reasons=frozenset(reasons))
            code = verdict_codes.encode(verdict)
            assert 0 < code < 2**31
            assert verdict_codes.decode(code) == verdict


def test_the_places_of_what_is_stored_stay() -> None:
    # Given codes as the first release stored them
    verdict = Verdict(Purpose.AUTOMATED, reasons=frozenset({Reason.DOMESTIC, Reason.CONSENT}))

    assert RULES_VERSION == 1
    assert verdict_codes.encode(verdict) == 1 << 19 | 2 << 16 | 0b1000_0010


def test_what_was_refused_has_none() -> None:
    with pytest.raises(ValueError, match="no code"):
        verdict_codes.encode(Verdict(None, Rule.PLAN))
