"""Words of our own, put into statements."""

from __future__ import annotations

from collections.abc import Iterable


def listed(words: Iterable[str]) -> str:
    """Words as an SQL list for `IN (...)`, in alphabetical order. Never from outside."""
    return ", ".join(f"'{word}'" for word in sorted(words))


def array(words: Iterable[str]) -> str:
    """Words as an SQL array, in alphabetical order. Never from outside."""
    return f"ARRAY[{listed(words)}]"
