"""The house rules a program can check besides arrows: SQL in one room, sizes, a sentence each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.unit.architecture import tree

PRODUCT = tree.trees("services", "shared", "deploy")
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s*\()"
)
FILE_LINE_COUNT_MAX = 400
FUNCTION_LINE_COUNT_MAX = 70


def test_sql_is_in_one_room() -> None:
    away = [
        f"{module}:{node.lineno}"
        for module, parsed in PRODUCT.items()
        if tree.room_of(module) != "shared.db"
        for node in ast.walk(parsed)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]
    assert away == []


def test_files_and_functions_fit_their_screens() -> None:
    long_files = [
        f"{path.relative_to(tree.ROOT)}: {count}"
        for path in tree.files("services", "shared", "deploy")
        if (count := path.read_text("utf-8").count("\n")) > FILE_LINE_COUNT_MAX
    ]
    long_functions = [
        f"{module}.{node.name}: {node.end_lineno - node.lineno + 1}"
        for module, parsed in PRODUCT.items()
        for node in ast.walk(parsed)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINE_COUNT_MAX
    ]
    assert long_files + long_functions == []


def test_every_room_and_file_says_what_it_owns() -> None:
    silent = [module for module, parsed in PRODUCT.items() if not ast.get_docstring(parsed)]
    assert silent == []


def test_the_packages_are_those_of_this_tree() -> None:
    import services
    import shared

    assert [Path(package.__path__[0]).parent for package in (services, shared)] == [
        tree.ROOT,
        tree.ROOT,
    ]


def test_the_environment_is_read_in_one_place() -> None:
    # Given that a setting is documented by its class, which `settings.load` fills
    readers = {
        module
        for module, parsed in PRODUCT.items()
        if not module.startswith("deploy.")
        for node in ast.walk(parsed)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers == {"shared.runtime.settings"}


def test_each_exception_from_a_rule_says_why() -> None:
    # Given comments such as `noqa: S311 - chance to play with, no secret`
    silent = [
        f"{path.relative_to(tree.ROOT)}:{number}"
        for path in tree.files("services", "shared", "deploy", "tests")
        for number, text in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"# (ruff: )?noqa|# type[:] ignore", text)
        and not re.search(r"(noqa: [A-Z0-9, ]+|ignore\[[a-z-, ]+\]) +[-#] +\S", text)
    ]
    assert silent == []
