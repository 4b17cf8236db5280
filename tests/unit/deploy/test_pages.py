"""The page of variables is what the code says, and says all that the code reads."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator

import pytest

import services
import shared
from deploy import pages
from deploy.local import kept
from shared.runtime import settings, variables

WORD = re.compile(r"SLUICE_[A-Z0-9_]*[A-Z0-9]\b")
GENERATED = {pages.ROOT / name for name in pages.PAGES}


def documented() -> set[str]:
    of_code = {one.name for _, new in pages.found() for one in new}
    return of_code | kept.OF_LAUNCHERS.keys()


def every_class(of: type[settings.Variables]) -> Iterator[type[settings.Variables]]:
    for one in of.__subclasses__():
        yield one
        yield from every_class(one)


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_page_in_the_tree_is_the_one_the_code_makes(name: str) -> None:
    file = pages.ROOT / name
    assert file.read_text("utf-8") == pages.PAGES[name](), "run python -m deploy.pages"


def test_each_variable_that_is_named_in_the_code_is_on_the_page() -> None:
    named = {
        word: str(file.relative_to(pages.ROOT))
        for folder in ("services", "shared", "deploy")
        for file in sorted((pages.ROOT / folder).rglob("*"))
        if file.suffix in (".py", ".sh", ".toml", ".example") and file not in GENERATED
        for word in WORD.findall(file.read_text("utf-8"))
    }
    named = {word.removesuffix("_FILE"): file for word, file in named.items()}
    assert {word: named[word] for word in named.keys() - documented()} == {}


def test_each_variable_of_the_launchers_is_one_they_use() -> None:
    used = "".join(
        re.sub(r"OF_LAUNCHERS = \{.*?\n\}", "", file.read_text("utf-8"), flags=re.DOTALL)
        for file in (pages.ROOT / "deploy/local").iterdir()
        if file.suffix in (".py", ".sh")
    )
    assert {name for name in kept.OF_LAUNCHERS if name not in used} == set()


def test_each_class_of_settings_is_on_the_page() -> None:
    # Given every module of the product
    for package in (services, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)

    # Then no class of settings has a variable that the page lacks
    of_product = {
        one for one in every_class(settings.Variables) if not one.__module__.startswith("tests.")
    }
    assert len(of_product) >= 7
    lacking = {
        one.name
        for kind in of_product
        for one in variables.of(kind)
        if one.name not in documented()
    }
    assert lacking == set()


def test_each_variable_says_what_it_means_and_each_number_its_unit() -> None:
    for _, new in pages.found():
        for one in new:
            assert one.meaning.endswith("."), one.name
            assert one.unit or "number" not in one.takes, one.name
            assert one.example or not one.is_required, one.name


def test_the_example_gives_a_shell_every_variable_that_is_required() -> None:
    example = pages.ROOT / "deploy/env.example"
    shell = f"set -a; . {example}; env -0"
    sourced = subprocess.run(
        ["/bin/sh", "-ec", shell], capture_output=True, text=True, check=True, timeout=10, env={}
    )
    given = {entry.partition("=")[0] for entry in sourced.stdout.split("\0")}
    assert given >= {one.name for _, new in pages.found() for one in new if one.is_required}
