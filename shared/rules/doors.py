"""Which way a message came in."""

from __future__ import annotations

from enum import StrEnum


class DoorName(StrEnum):
    """A face of the API, or our own answer to a word. What may be sent is the same at each (A2,
    A14); that a line in API mode is for the calls of that API alone is not about what is sent."""

    NATIVE = "native"
    AIRCALL = "aircall"
    """Its sends for lines in API mode; those for the others are as the native ones."""
    MAILJET = "mailjet"
    ANSWER = "answer"
    """What a phone is told that has just written STOP, START or HELP."""
