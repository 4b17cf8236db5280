"""Which events a webhook is told of: by their types, or by patterns such as "message.*"."""

from __future__ import annotations

from collections.abc import Iterable

from shared.rules import event_types


def is_pattern(text: str) -> bool:
    """Whether this is a type, all types of a family ("message.*"), or all ("*")."""
    family, _, rest = text.partition(".")
    return (
        text == "*" or text in event_types.TYPES or (rest == "*" and family in event_types.FAMILIES)
    )


def fits(kind: str, patterns: Iterable[str]) -> bool:
    """Whether an event of this type is among those."""
    family = event_types.family_of(kind)
    return any(pattern in (kind, "*", f"{family}.*") for pattern in patterns)
