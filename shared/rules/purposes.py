"""What a message is for, and for what a recipient's consent is asked."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Purpose(StrEnum):
    """Rules by country depend on it (A3 to A6)."""

    CONVERSATION = "conversation"
    """A person writes to a person, for example an answer."""
    AUTOMATED = "automated"
    MARKETING = "marketing"


CONVERSATION_DAYS: Final = 30
"""Unless an operator sets another: a month for people to answer each other in, and no longer than
what they wrote is kept at least."""


class ConsentPolicy(StrEnum):
    """When a recipient's consent must be on record before an account may write to it."""

    OWN = "own"
    """Never: the operator answers for it."""
    NORTH_AMERICA = "north_america"
    """For what is automated or marketing, from lines of the US and Canada (A4)."""
    REQUIRED = "required"
    """Always (M10)."""


_RANKS: Final = {purpose: rank for rank, purpose in enumerate(Purpose)}


def covers(consent: Purpose | None, purpose: Purpose) -> bool:
    """Whether who has agreed to the one has agreed to the other: to marketing is to all."""
    return consent is not None and _RANKS[consent] >= _RANKS[purpose]
