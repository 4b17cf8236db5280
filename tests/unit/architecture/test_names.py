"""Names: no word without its meaning, none twice, none of the standard library, none unused."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict

from tests.unit.architecture import tree

PRODUCT = tree.trees("services", "shared")
EVERYTHING = tree.trees("services", "shared", "deploy")
GLOSSARY = (tree.ROOT / "docs/glossary.md").read_text("utf-8")
SHARED_NAME_COUNT_MAX = 29
"""Names of classes that stand in more than one file. It may only fall."""

UNSAID_COUNT_MAX = 5
"""Words that may wait for their sentence, so that it can be found while more is built."""


def classes() -> dict[str, set[str]]:
    """The classes named by one word, without a leading _, and the files they stand in."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, parsed in PRODUCT.items():
        for node in ast.walk(parsed):
            if isinstance(node, ast.ClassDef) and re.fullmatch(r"_?[A-Z][a-z]+", node.name):
                found[node.name.lstrip("_")].add(f"{module.replace('.', '/')}.py")
    return found


def test_each_word_of_the_glossary_stands_where_it_says() -> None:
    rows = re.findall(r"^\| ([A-Z][a-z]+) \| .+ \| (.+) \|$", GLOSSARY, re.MULTILINE)
    assert len(rows) > 50
    assert [word for word, _ in rows] == sorted(word for word, _ in rows)
    there = classes()
    astray = {
        word: place
        for word, places in rows
        for place in re.findall(r"`(.+?)`", places)
        if place not in there[word]
    }
    assert astray == {}


def test_each_class_of_one_word_is_in_the_glossary() -> None:
    # Given the words of the house, and those that mean what they mean elsewhere
    words = set(re.findall(r"^\| ([A-Z][a-z]+) \|", GLOSSARY, re.MULTILINE))
    usual = set(re.findall(r"\b[A-Z][a-z]+\b", GLOSSARY.rpartition("\n## ")[2].partition("\n")[2]))

    # Then each public class is one of them, or several of it
    public = {
        node.name
        for parsed in PRODUCT.values()
        for node in ast.walk(parsed)
        if isinstance(node, ast.ClassDef) and re.fullmatch(r"[A-Z][a-z]+", node.name)
    }
    known = words | usual
    unsaid = {name for name in public if name not in known and name.removesuffix("s") not in known}
    assert len(unsaid) <= UNSAID_COUNT_MAX, f"say in docs/glossary.md what they are: {unsaid}"
    assert usual - public == set(), "these stand in docs/glossary.md only"


def test_no_more_classes_share_a_name() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for module, parsed in EVERYTHING.items():
        for node in ast.walk(parsed):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(module)
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert len(shared) <= SHARED_NAME_COUNT_MAX, shared


def test_no_file_hides_a_module_of_python() -> None:
    hiding = {module for module in PRODUCT if module.rpartition(".")[2] in sys.stdlib_module_names}
    # The name of an adapter is what operators write in their file.
    assert hiding == {"shared.carriers.adapters.http"}


def test_bounds_are_named_alike() -> None:
    odd = [
        f"{module}: {target.id}"
        for module, parsed in EVERYTHING.items()
        for node in parsed.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and re.match(r"_?(MAX|MIN)_", target.id)
    ]
    assert odd == [], "X_MAX, not MAX_X"


def test_nothing_is_named_and_then_never_used() -> None:
    # Given every word of the tree, tests included
    words = Counter(
        word
        for path in tree.files("services", "shared", "deploy", "tests")
        for word in re.findall(r"\w+", path.read_text("utf-8"))
    )

    # Then what a file defines is mentioned again; SMPP's codes are a list to look things up in
    unused = [
        f"{module}: {name}"
        for module, parsed in EVERYTHING.items()
        if module != "shared.smpp.codes"
        for node in parsed.body
        for name in _names(node)
        if words[name] == 1
    ]
    assert unused == []


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []
