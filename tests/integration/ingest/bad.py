"""How a bad request is written down: what is sent, and what it must be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

TO = "+33612345678"
TEXT = "Kaktusblüte"
SEND = "/v1/messages"
BATCH = "/v1/messages/batch"
PREVIEW = "/v1/preview"
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
KIB = 1024


@dataclass(frozen=True, slots=True)
class Bad:
    """A request, and the status, code and field (`at`) of the problem it gets."""

    name: str
    status: int
    code: str
    at: str | None = None
    method: str = "POST"
    path: str = SEND
    body: bytes | None = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    account: str | None = "alice"
    chunked: bool = False


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def message(
    name: str,
    expected_status: int,
    code: str,
    at: str | None = None,
    account: str = "alice",
    /,
    **members: object,
) -> Bad:
    """A good message, but for these members; `...` leaves one out."""
    document = {"to": TO, "text": TEXT} | members
    body = encoded({key: value for key, value in document.items() if value is not ...})
    return Bad(name, expected_status, code, at, body=body, account=account)


def raw(name: str, status: int, code: str, body: bytes, at: str | None = None) -> Bad:
    return Bad(name, status, code, at, body=body)


GOOD = f'"to":"{TO}","text":"hi"'.encode()
