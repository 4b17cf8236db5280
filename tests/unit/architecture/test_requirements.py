"""The pages of the APIs that speak as others do name a test for each of their requirements, and
have what their readers need."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from services.ingest.mailjet import faults, routes
from tests.unit.architecture import tree

README = (tree.ROOT / "README.md").read_text("utf-8")


class Requirement(NamedTuple):
    """A row of a page: its number, and where the test is that shows it."""

    number: int
    path: str
    test: str


class RequirementPage:
    """A page under `docs/` whose table has requirements of this letter, from 1 to `count`."""

    def __init__(self, name: str, letter: str, count: int) -> None:
        self.name, self.letter, self.count = name, letter, count
        self.text = (tree.ROOT / "docs" / name).read_text("utf-8")
        row = rf"^\| {letter}(\d+) \| [^|]+ \| `([^`]+)::(test_\w+)` \|$"
        self.rows = [
            Requirement(int(number), path, test)
            for number, path, test in re.findall(row, self.text, re.MULTILINE)
        ]

    def headings(self) -> list[str]:
        """Those of its parts."""
        return re.findall(r"^## (.+)$", self.text, re.MULTILINE)


AIRCALL = RequirementPage("aircall.md", "A", 26)
MAILJET = RequirementPage("mailjet.md", "M", 56)
PAGES = pytest.mark.parametrize("page", [AIRCALL, MAILJET], ids=lambda page: page.name)


@PAGES
def test_each_requirement_has_its_row(page: RequirementPage) -> None:
    assert [row.number for row in page.rows] == list(range(1, page.count + 1))


@PAGES
def test_each_row_names_a_test_that_names_its_requirement(page: RequirementPage) -> None:
    wrong = []
    for number, path, name in page.rows:
        file = tree.ROOT / path
        there = file.exists() and f"def {name}(" in file.read_text("utf-8")
        if not there or f"{page.letter.lower()}{number:02}_" not in f"{name}_":
            wrong.append(f"{page.letter}{number}: {path}::{name}")
    assert wrong == []


def test_a26_the_page_tells_how_to_start_how_to_do_things_and_whom_to_ask() -> None:
    for heading in ("Getting started", "How to", "Support"):
        assert heading in AIRCALL.headings()
    assert "docs/aircall.md" in README


def test_m50_the_guide_covers_methods_encoding_error_codes_and_authentication() -> None:
    # Given the guide, which has a part for each
    for heading in ("Getting started", "Authentication", "Methods", "Encoding", "Errors"):
        assert heading in MAILJET.headings()
    assert "docs/mailjet.md" in README

    # Then it has each path that is served and each code that is answered
    for _, path, _, _ in routes.ROUTES:
        assert f"/v4{path}" in MAILJET.text
    for code in {*faults.CODES.values(), faults.FORBIDDEN}:
        assert f"`{code}`" in MAILJET.text
