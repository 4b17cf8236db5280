"""Signatures in the form of Standard Webhooks: what proves to a receiver that we have sent it."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32


def make_secret() -> str:
    """A new secret, to be shown once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(
    secret_texts: Iterable[str], event_id: str, sent_at_seconds: int, body: bytes
) -> dict[str, str]:
    """The three headers for a body that is sent at this Unix time: a signature for each secret, so
    that a receiver who knows one of them believes it."""
    document = f"{event_id}.{sent_at_seconds}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(sent_at_seconds),
        "webhook-signature": " ".join(_signature(text, document) for text in secret_texts),
    }


def _signature(secret: str, document: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, document, "sha256")).decode()
