"""Tickets: a link that opens one thing for a while to whoever has it, without a token."""

from __future__ import annotations

import base64
import hmac
import re

from shared.access.keys import Keys

_TICKET = re.compile(r"([1-9][0-9]{0,18})\.([1-9][0-9]{0,11})\.([\w-]{43})", re.ASCII)


def make(keys: Keys, kind: str, number: int, until_seconds: int) -> str:
    """A ticket for the thing of this kind and number, good until that Unix time."""
    seal = keys.sign(_document(kind, number, until_seconds))
    return f"{number}.{until_seconds}.{_text(seal)}"


def read(keys: Keys, kind: str, ticket: str, now_seconds: float) -> int | None:
    """The number that a ticket of this kind is for; None if we have not made it, or it is over."""
    found = _TICKET.fullmatch(ticket)
    if found is None:
        return None
    number, until_seconds = int(found[1]), int(found[2])
    seals = keys.signatures(_document(kind, number, until_seconds))
    good = [hmac.compare_digest(_text(seal), found[3]) for seal in seals]
    return number if any(good) and now_seconds < until_seconds else None


def _document(kind: str, number: int, until_seconds: int) -> bytes:
    return f"ticket:{kind}:{number}:{until_seconds}".encode()


def _text(seal: bytes) -> str:
    return base64.urlsafe_b64encode(seal).rstrip(b"=").decode()
