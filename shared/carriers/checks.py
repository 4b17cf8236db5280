"""Checks of a carrier's settings; each raises ValueError, naming the field and never its value."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HOST = re.compile(r"[^\s/@?#]{1,253}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def number(name: str, value: float | None, low: float, high: float) -> None:
    """Between the two, or absent."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"{name}: expected {low} to {high}")


def numbers(name: str, values: Iterable[int], low: int, high: int) -> None:
    for value in values:
        number(name, value, low, high)


def host(name: str, value: str) -> None:
    """A name or an address, without a scheme, a port's colon left to IPv6."""
    if not _HOST.fullmatch(value):
        raise ValueError(f"{name}: expected a name or an address")


def printable(name: str, value: str, chars_max: int) -> None:
    """ASCII without control characters."""
    if len(value) > chars_max or not _PRINTABLE.fullmatch(value):
        raise ValueError(f"{name}: expected at most {chars_max} printable ASCII characters")


def header(name: str, field: str, value: str) -> None:
    """A header that can be sent."""
    if not _TOKEN.fullmatch(field) or "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"{name}: expected a header's name, and a value without line breaks")


def filled(name: str, value: str) -> None:
    if not value:
        raise ValueError(f"{name}: expected a value")
