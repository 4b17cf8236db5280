"""What a message is for, and for what a recipient's consent is asked."""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    """Rules by country depend on it (A3 to A6)."""

    CONVERSATION = "conversation"
    """A person writes to a person, for example an answer."""
    AUTOMATED = "automated"
    MARKETING = "marketing"


class ConsentPolicy(StrEnum):
    """When a recipient's consent must be on record before an account may write to it."""

    OWN = "own"
    """Never: the operator answers for it."""
    NORTH_AMERICA = "north_america"
    """For what is automated or marketing, from lines of the US and Canada (A4)."""
    REQUIRED = "required"
    """Always (M10)."""
