"""Reading what a web carrier said, without believing its shape: total, bounded, printable."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import msgspec

ID_CHARS_MAX = 128
CODE_CHARS_MAX = 64
_DAY_SECONDS = 86_400.0
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def decode(content: bytes) -> object:
    """The JSON value, or None for anything else."""
    try:
        decoded: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded


def dig(value: object, path: str) -> object:
    """What stands at a dotted path such as `messages.0.id`; None where it leads nowhere."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and len(step) < 6:
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def word(value: object, max_chars: int) -> str:
    """A carrier's id or code as printable ASCII; empty when it is none, and when it is too long."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    try:
        said = str(value)
    except ValueError:  # An integer of more digits than Python is willing to write.
        return ""
    return "" if len(said) > max_chars else _UNPRINTABLE.sub("?", said)


def word_at(value: object, path: str, max_chars: int) -> str:
    """The word at a dotted path; empty where no path is set."""
    return word(dig(value, path), max_chars) if path else ""


def wait_ms(retry_after: str) -> int:
    """A Retry-After header's seconds or date as a wait of at most a day; 0 when it says nothing."""
    try:
        if retry_after.isdigit():
            seconds = float(retry_after)
        else:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0
    return round(min(max(seconds, 0.0), _DAY_SECONDS) * 1000)
