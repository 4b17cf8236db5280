"""What ARCHITECTURE.md and the other pages name is there, and what is there is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shared.sms import states
from tests.unit.architecture import tree

ARCHITECTURE = (tree.ROOT / "ARCHITECTURE.md").read_text("utf-8")
PAGES = sorted([*tree.ROOT.glob("*.md"), *(tree.ROOT / "docs").rglob("*.md")])
ROOTS = ("services", "shared", "deploy", "tests", "")


def section(heading: str) -> str:
    """The text under a heading, up to the next of any level."""
    return re.split(r"\n#+ ", ARCHITECTURE.split(f"# {heading}\n")[1])[0]


def rooms() -> dict[str, str]:
    """Each folder of the plan and what it says it holds."""
    found: dict[str, str] = {}
    room = ""
    for indent, name, text in re.findall(r"^ {4}( *)(\S+) +(.+)$", section("Rooms"), re.MULTILINE):
        if not indent:
            room = name
        found[name if not indent else room + name] = text
    return found


def test_the_plan_has_every_room_and_no_other() -> None:
    # Given the folders that hold code, but for those that only hold their rooms
    there = {
        f"{folder.relative_to(tree.ROOT)}/"
        for root in ("services", "shared")
        for folder in (path.parent for path in (tree.ROOT / root).rglob("__init__.py"))
        if folder.parent != tree.ROOT
    }
    planned = {name for name in rooms() if name.startswith(("services/", "shared/"))}
    assert planned - {"services/__main__.py"} == there
    assert all((tree.ROOT / name).exists() for name in rooms())


@pytest.mark.parametrize(("room", "text"), rooms().items())
def test_what_a_room_says_it_holds_is_in_it(room: str, text: str) -> None:
    # Given the single words of a list after a colon: `what for: file, file, two words, file`
    words = re.findall(r"(?<=[:,] )[a-z_]+(?=,|$)", text)
    folder = tree.ROOT / room
    missing = [
        word for word in words if not ((folder / word).is_dir() or [*folder.glob(f"{word}.*")])
    ]
    assert missing == []


def test_each_step_of_the_way_is_a_file() -> None:
    way = section("The way of a message, and what is stored at each step")
    steps = re.findall(r"\b(ingest|dispatcher|dlr|webhooks)/(\w+)", way)
    assert len(steps) >= 8
    missing = [
        f"{room}/{step}"
        for room, step in steps
        if not (tree.ROOT / "services" / room / f"{step}.py").is_file()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_file_a_page_names_is_there(page: Path) -> None:
    named = re.findall(
        r"`([\w./-]+/[\w./-]*(?<!/\d)|[\w-]+\.(?:py|md|toml|sql))`", page.read_text("utf-8")
    )
    made = (".run/", ".venv/", "/")
    missing = [
        name
        for name in named
        if not name.startswith(made)
        and not any((tree.ROOT / root / name).exists() for root in ROOTS)
    ]
    assert missing == []


def test_each_table_is_on_the_page() -> None:
    created = {
        table
        for file in (tree.ROOT / "shared/db/migrations").glob("*.sql")
        for table in re.findall(
            r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", file.read_text("utf-8"), re.MULTILINE
        )
    }
    rows = re.findall(r"^\| (`.*?) \|", section("Tables"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == created


def test_each_table_says_who_removes_its_rows() -> None:
    rows = re.findall(r"^\| `.*\|$", section("Tables"), re.MULTILINE)
    told = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in told if len(row) != 4 or not all(row)] == []


def test_each_state_is_on_the_page() -> None:
    moves = re.findall(r"^    (\w+ +→.*)$", section("How a segment moves"), re.MULTILINE)
    drawn = {word for line in moves for word in re.findall(r"[a-z_]+", line)}
    assert drawn == {str(state) for state in states.SegmentState}


def test_each_library_says_why_it_is_there() -> None:
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    table = section("Libraries")
    named = [re.split(r"[\[<>=]", one)[0] for one in project["dependencies"]]
    assert [name for name in named if not re.search(rf"\b{name}\b", table)] == []
