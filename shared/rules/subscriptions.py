"""Which events a webhook is told of: by their types, or by patterns such as "message.*"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared.sms.states import MessageStatus

MESSAGE: Final = "message"
TYPES: Final = frozenset(
    {
        *(f"{MESSAGE}.{status.value}" for status in MessageStatus),
        "inbound.received",
        "opt_out.created",
        "opt_out.deleted",
        "webhook.disabled",
    }
)
_FAMILIES: Final = frozenset(kind.partition(".")[0] for kind in TYPES)


def is_pattern(text: str) -> bool:
    """Whether this is a type, all types of a family ("message.*"), or all ("*")."""
    family, _, rest = text.partition(".")
    return text == "*" or text in TYPES or (rest == "*" and family in _FAMILIES)


def fits(kind: str, patterns: Iterable[str]) -> bool:
    """Whether an event of this type is among those."""
    family = kind.partition(".")[0]
    return any(pattern in (kind, "*", f"{family}.*") for pattern in patterns)
