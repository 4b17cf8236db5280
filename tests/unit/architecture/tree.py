"""The files of this tree, parsed once, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files(*folders: str) -> list[Path]:
    """Every Python file under these folders of the tree."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def trees(*folders: str) -> dict[str, ast.Module]:
    """The parsed files of these folders, by module."""
    return {module_of(path): ast.parse(path.read_text("utf-8")) for path in files(*folders)}


def imports_of(tree: ast.AST) -> Iterator[str]:
    """All that a file imports, also inside functions; no import is relative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(tree: ast.AST, modules: Iterable[str]) -> set[str]:
    """The modules among `modules` that a file imports: `from a.b import c` is a.b.c if that is a
    module, and a.b if it is not."""
    known = set(modules)
    targets = set(imports_of(tree))
    return {target for target in targets if target in known} | {
        parent
        for target in targets
        if target not in known and (parent := target.rpartition(".")[0]) in known
    }


def room_of(module: str) -> str:
    """The room of a module: the first two words of its name."""
    return ".".join(module.split(".")[:2])
