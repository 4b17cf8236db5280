"""Personalities: each is on the page, sets options there are, and goes with others or says why."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from services.simulator import personalities
from services.simulator.options import InvalidOptions, Options
from tests.unit.architecture import tree

PAGE = (tree.ROOT / "docs/simulator.md").read_text("utf-8")


def test_the_page_lists_the_personalities_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
    assert rows == [
        (name, personality.meaning) for name, personality in personalities.PERSONALITIES.items()
    ]


@pytest.mark.parametrize("name", personalities.PERSONALITIES)
def test_a_personality_is_other_values_of_options_there_are(name: str) -> None:
    defaults = {each.name: each.default for each in fields(Options)}
    chosen = Options(profile=name)
    for option, value in personalities.PERSONALITIES[name].options.items():
        assert getattr(chosen, option) == value
        assert defaults[option] != value


def test_personalities_are_had_together() -> None:
    both = Options(profile="slow, lost_answers")
    assert both.answer_max_ms == 2_000
    assert both.unanswered_share > 0


def test_what_is_set_wins_over_a_personality() -> None:
    assert Options(profile="cuts", cut_share=0.2).cut_share == 0.2


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        (
            "slow,slwo",
            r"profile: there is no 'slwo'; expected of bind_refusals, .+, wrong_sequences",
        ),
        (
            "hex_ids,upper_ids",
            "profile: hex_ids and upper_ids do not go together: both set receipt_ids",
        ),
    ],
)
def test_names_that_cannot_be_had_are_refused(profile: str, sentence: str) -> None:
    with pytest.raises(InvalidOptions, match=sentence):
        Options(profile=profile)
