"""The page of the Aircall-shaped API names a test for each of its requirements, and has what its
readers need."""

from __future__ import annotations

import re

from tests.unit.architecture import tree

PAGE = (tree.ROOT / "docs" / "aircall.md").read_text("utf-8")
README = (tree.ROOT / "README.md").read_text("utf-8")
ROWS = re.findall(r"^\| A(\d+) \| [^|]+ \| `([^`]+)::(test_\w+)` \|$", PAGE, re.MULTILINE)


def test_each_requirement_has_its_row() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 27))


def test_each_row_names_a_test_that_names_its_requirement() -> None:
    wrong = []
    for number, path, name in ROWS:
        file = tree.ROOT / path
        there = file.exists() and f"def {name}(" in file.read_text("utf-8")
        if not there or f"a{int(number):02}_" not in f"{name}_":
            wrong.append(f"A{number}: {path}::{name}")
    assert wrong == []


def test_a26_the_page_tells_how_to_start_how_to_do_things_and_whom_to_ask() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    for heading in ("Getting started", "How to", "Support"):
        assert heading in headings
    assert "docs/aircall.md" in README
