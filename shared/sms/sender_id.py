"""Sender ids: what a phone shows as the origin of a message.

Source: 3GPP TS 23.040 §9.1.2.5 (an alphanumeric address holds eleven septets); its characters are
kept to those that every operator accepts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.sms import e164

ALPHANUMERIC_LENGTH_MAX: Final = 11

_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}")
_ALPHANUMERIC: Final = re.compile(r"[A-Za-z0-9 ]*")
_LETTER: Final = re.compile(r"[A-Za-z]")

_MESSAGES: Final = {
    "empty": "a sender is a number, a short code or a name",
    "bad_character": "a sender's name holds letters A to Z, digits and blanks only",
    "blank_at_edge": "a sender's name neither begins nor ends with a blank",
    "no_letter": "a sender without letters is a short code of 3 to 8 digits, or a number with '+'",
    "too_long": f"a sender's name has at most {ALPHANUMERIC_LENGTH_MAX} characters",
}


class SenderKind(StrEnum):
    """The type of address a sender id is."""

    E164 = "e164"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"


class InvalidSender(ValueError):
    """Not a sender id. `reason` is one of `_MESSAGES`, or a reason of e164.InvalidNumber.

    Never carries the sender id.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SenderId:
    """A sender id, exactly as written."""

    kind: SenderKind
    value: str = field(repr=False)


def parse(raw: str) -> SenderId:
    """Tell a number, a short code and a name apart. Raises InvalidSender."""
    if raw.startswith("+"):
        return SenderId(SenderKind.E164, _number(raw))
    if _SHORT_CODE.fullmatch(raw):
        return SenderId(SenderKind.SHORT_CODE, raw)
    if fault := _alphanumeric_fault(raw):
        raise InvalidSender(fault, _MESSAGES[fault])
    return SenderId(SenderKind.ALPHANUMERIC, raw)


def _number(raw: str) -> str:
    try:
        return e164.parse(raw).e164
    except e164.InvalidNumber as fault:
        raise InvalidSender(fault.reason, str(fault)) from None


def _alphanumeric_fault(raw: str) -> str | None:
    if not raw:
        return "empty"
    if not _ALPHANUMERIC.fullmatch(raw):
        return "bad_character"
    if raw[0] == " " or raw[-1] == " ":
        return "blank_at_edge"
    if not _LETTER.search(raw):
        return "no_letter"
    return "too_long" if len(raw) > ALPHANUMERIC_LENGTH_MAX else None
