"""Bearer tokens: 256 random bits, with a check by which a made-up one is told without asking."""

from __future__ import annotations

import base64
import hmac
import secrets

from shared.access.keys import Keys

PREFIX = "slu_"
NARROW_PREFIX = "sls_"
"""Of tokens that may not do everything: those with less than all scopes, and those of sessions."""
CHECK_BYTES = 6
NAME_LENGTH_MAX = 64
GOOD_DAYS_MAX = 3650

SECRET_LENGTH = len(PREFIX) + 43
_CHECK_LENGTH = CHECK_BYTES * 4 // 3


def make(keys: Keys, *, narrow: bool = False) -> str:
    """A new token, to be shown once."""
    secret = (NARROW_PREFIX if narrow else PREFIX) + secrets.token_urlsafe(32)
    return secret + _check(keys.sign(_checked(secret)))


def is_name(text: str) -> bool:
    """Whether a token may be known by it."""
    return text.isprintable() and text.strip() == text and 1 <= len(text) <= NAME_LENGTH_MAX


def hashes(token: str, keys: Keys) -> tuple[bytes, ...]:
    """What may be stored of a token, useless without the key: the newest first. Code that knows no
    scopes would serve a narrow token with all of them, so it must not find its hash: a word goes
    before it."""
    word = "narrow:" if token.startswith(NARROW_PREFIX) else ""
    return keys.signatures(f"{word}{token}".encode())


def fits(token: str, keys: Keys) -> bool:
    """Whether the token carries the check of one of these keys. One that does not is made up, or
    was made before tokens had a check, or with a key that is gone: only the database can tell."""
    if len(token) != SECRET_LENGTH + _CHECK_LENGTH:
        return False
    secret, given = token[:SECRET_LENGTH], token[SECRET_LENGTH:]
    return any(
        hmac.compare_digest(given.encode(), _check(signature).encode())
        for signature in keys.signatures(_checked(secret))
    )


def _checked(secret: str) -> bytes:
    # Not the document that is hashed for storage: the check must tell nothing of that hash.
    return b"check:" + secret.encode()


def _check(signature: bytes) -> str:
    return base64.urlsafe_b64encode(signature[:CHECK_BYTES]).decode()
