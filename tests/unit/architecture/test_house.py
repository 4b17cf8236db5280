"""The house rules a program can check: arrows, SQL in one room, sizes, adapters nobody names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")])

# From the top floor down: a room may import those below it, and itself.
FLOORS = (
    ("services.__main__",),
    ("services.commands",),
    ("services.ingest", "services.dispatcher", "services.dlr", "services.simulator"),
    ("shared.carriers",),
    ("shared.limits",),
    ("shared.db",),
    ("shared.broker",),
    ("shared.smpp",),
    ("shared.rules",),
    ("shared.sms", "shared.ledger", "shared.access"),
    ("shared.web",),
    ("shared.runtime",),
)
PURE = ("shared.sms", "shared.ledger", "shared.rules", "shared.access")
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s*\()"
)
FILE_LINE_COUNT_MAX = 400
FUNCTION_LINE_COUNT_MAX = 70


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def floor_of(module: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room_of(module) in rooms:
            return number
    raise AssertionError(f"{module} is in no room of ARCHITECTURE.md")


def imports_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    assert len(FILES) > 50
    return {module_of(path): ast.parse(path.read_text("utf-8")) for path in FILES}


def test_imports_go_down_the_list_only(trees: dict[str, ast.Module]) -> None:
    upwards = [
        f"{module} imports {target}"
        for module, tree in trees.items()
        if module not in ("services", "shared")
        for target in imports_of(tree)
        if target.startswith(("services.", "shared."))
        and room_of(target) != room_of(module)
        and floor_of(target) <= floor_of(module)
    ]
    assert upwards == []


def test_pure_rooms_import_the_standard_library_alone(trees: dict[str, ast.Module]) -> None:
    import sys

    allowed = set(sys.stdlib_module_names) | {"shared", "phonenumbers"}
    for module, tree in trees.items():
        if room_of(module) in PURE:
            outside = {target.split(".")[0] for target in imports_of(tree)} - allowed
            assert outside == set(), f"{module} imports {outside}"
            coroutines = [n for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef)]
            assert coroutines == [], f"{module} is async"


def test_sql_is_in_one_room(trees: dict[str, ast.Module]) -> None:
    away = [
        f"{module}:{node.lineno}"
        for module, tree in trees.items()
        if room_of(module) != "shared.db"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]
    assert away == []


def test_adapters_are_named_nowhere_else(trees: dict[str, ast.Module]) -> None:
    adapters = {module for module in trees if module.startswith("shared.carriers.adapters.")}
    assert len(adapters) >= 2
    named = [
        f"{module} imports {target}"
        for module, tree in trees.items()
        for target in imports_of(tree)
        if target in adapters and module != target
    ]
    assert named == []


def test_files_and_functions_fit_their_screens(trees: dict[str, ast.Module]) -> None:
    long_files = [
        f"{path.relative_to(ROOT)}: {count}"
        for path in FILES
        if (count := path.read_text("utf-8").count("\n")) > FILE_LINE_COUNT_MAX
    ]
    long_functions = [
        f"{module}.{node.name}: {node.end_lineno - node.lineno + 1}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINE_COUNT_MAX
    ]
    assert long_files + long_functions == []


def test_every_room_and_file_says_what_it_owns(trees: dict[str, ast.Module]) -> None:
    silent = [module for module, tree in trees.items() if not ast.get_docstring(tree)]
    assert silent == []


def test_the_packages_are_those_of_this_tree() -> None:
    import services
    import shared

    assert [Path(package.__path__[0]).parent for package in (services, shared)] == [ROOT, ROOT]
