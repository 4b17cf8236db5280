"""The tables of moves in ARCHITECTURE.md are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from shared.db import work_states
from shared.sms import states

PAGE = (Path(__file__).parents[3] / "ARCHITECTURE.md").read_text("utf-8")


def drawn(heading: str) -> dict[str, set[str]]:
    """from → {to} of the first table of arrows under a heading."""
    section = PAGE.split(f"### {heading}\n")[1].split("\n#")[0]
    rows = re.findall(r"^    (\w+) +→(.*)$", section, re.MULTILINE)
    return {state: set(nexts.split()) for state, nexts in rows}


def written(moves: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    return {str(state): {str(to) for to in nexts} for state, nexts in moves.items() if nexts}


@pytest.mark.parametrize(
    ("heading", "moves"),
    [("How a segment moves", states.MOVES), ("How a row of work moves", work_states.MOVES)],
)
def test_the_page_draws_what_the_table_says(
    heading: str, moves: Mapping[str, Iterable[str]]
) -> None:
    assert drawn(heading) == written(moves)
