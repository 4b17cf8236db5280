"""What a line is, can do and serves, from closed sets, and which sender ids it may have.

Words that operators' files used before the set was closed are still read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from shared.sms import e164, sender_id
from shared.sms.e164 import NumberKind
from shared.sms.sender_id import SenderKind


class LineKind(StrEnum):
    """Limits and rules depend on it, together with the line's country."""

    LONG_CODE = "long_code"
    """A number of the US or Canada that is not toll-free."""
    TOLL_FREE = "toll_free"
    MOBILE = "mobile"
    FIXED = "fixed"
    """Any other number: fixed, over the internet, or unknown."""
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"


class Capability(StrEnum):
    """What a line can send and get besides calls."""

    SMS = "sms"
    MMS = "mms"


class LineMode(StrEnum):
    """Who sends from a line and gets what comes to it; calls are the same in both."""

    APPLICATION = "application"
    API = "api"
    """The application does neither (A9)."""


_SYNONYMS: Final = {
    "fixed_line": LineKind.FIXED,
    "landline": LineKind.FIXED,
    "voip": LineKind.FIXED,
}
_SENDERS: Final = {
    LineKind.SHORT_CODE: SenderKind.SHORT_CODE,
    LineKind.ALPHANUMERIC: SenderKind.ALPHANUMERIC,
}


def of_word(word: str) -> LineKind:
    """The kind an operator means. Raises ValueError with the words there are."""
    try:
        return _SYNONYMS.get(word) or LineKind(word)
    except ValueError:
        raise ValueError(f"expected one of {', '.join(LineKind)}") from None


def of_line(word: str, sender: str) -> LineKind:
    """The kind of a line that was stored under any word; total, for its sender tells as well."""
    try:
        return of_word(word)
    except ValueError:
        return _of_sender(sender)


def _of_sender(sender: str) -> LineKind:
    try:
        kind = sender_id.parse(sender).kind
    except sender_id.InvalidSender:
        return LineKind.FIXED
    if kind is SenderKind.SHORT_CODE:
        return LineKind.SHORT_CODE
    if kind is SenderKind.ALPHANUMERIC:
        return LineKind.ALPHANUMERIC
    return _of_number(e164.parse(sender))


def _of_number(number: e164.PhoneNumber) -> LineKind:
    if number.kind is NumberKind.TOLL_FREE:
        return LineKind.TOLL_FREE
    if number.country in ("US", "CA"):
        return LineKind.LONG_CODE
    return LineKind.MOBILE if number.kind is NumberKind.MOBILE else LineKind.FIXED


def is_number(kind: LineKind) -> bool:
    """Whether senders of this kind are numbers in E.164."""
    return kind not in _SENDERS


def fits(kind: LineKind, sender: sender_id.SenderId) -> bool:
    """Whether a line of this kind can have such a sender."""
    return _SENDERS.get(kind, SenderKind.E164) is sender.kind
