"""What an adapter may believe of a carrier's HTTP call, and how it reads one; pure and total."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal
from urllib.parse import parse_qsl

from shared.carriers import answers, contract, secret

Proof = Literal["path_secret", "hmac"]
"""A secret in the call's path, or an HMAC-SHA256 of its body in a header."""

SECRET_CHARS_MIN = 16
FIELD_COUNT_MAX = 100


def distrust(
    request: contract.CallbackRequest, proof: Proof, wanted: secret.Secret, hmac_header: str
) -> contract.CallbackRefusal | None:
    """Why the call is not believed, or None when it has proved its sender."""
    key = wanted.reveal().encode()
    if proof == "path_secret":
        given, right = request.path_secret.encode(errors="replace"), key
    else:
        given = (
            _header(request, hmac_header).removeprefix("sha256=").lower().encode("utf-8", "replace")
        )
        right = hmac.new(key, request.body, hashlib.sha256).hexdigest().encode()
    if not given:
        return contract.CallbackRefusal(401, "the call carries no proof of its sender")
    if not hmac.compare_digest(given, right):
        return contract.CallbackRefusal(403, "the proof of the sender is wrong")
    return None


def is_secret(given: str, wanted: secret.Secret) -> bool:
    """Whether the caller gave the secret, told in the same time whatever it gave."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.reveal().encode())


def content(request: contract.CallbackRequest) -> object:
    """What the call says: its JSON, its form or, in a call without a body and with a secret in the
    path, its query; None for anything else."""
    if not request.body:
        # A signature covers the body alone, so it proves nothing about a query.
        return dict(request.query) if request.path_secret else None
    if request.content_type.partition(";")[0].strip().lower() == "application/json":
        return answers.decode(request.body)
    try:
        return dict(parse_qsl(request.body.decode(), max_num_fields=FIELD_COUNT_MAX))
    except ValueError:
        return None


def _header(request: contract.CallbackRequest, name: str) -> str:
    wanted = name.lower()
    return next((value for key, value in request.headers.items() if key.lower() == wanted), "")
