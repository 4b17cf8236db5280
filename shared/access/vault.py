"""Secrets that must be read again, encrypted under the platform's keys."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shared.access.keys import Keys

_PURPOSE = b"vault:"
"""Parts these keys from whatever else the platform's keys make: no token holds a colon."""


class NotReadable(Exception):
    """Encrypted under a key that is gone, or not by us."""


class Vault:
    """Encrypts under the platform's first key, reads what any of them has encrypted."""

    def __init__(self, platform: Keys) -> None:
        fernets = [Fernet(base64.urlsafe_b64encode(key)) for key in platform.signatures(_PURPOSE)]
        self._first = fernets[0]
        self._all = MultiFernet(fernets)

    def seal(self, secret: str) -> bytes:
        """The secret as it may be stored."""
        return self._all.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The secret that was stored. Raises NotReadable."""
        try:
            return self._all.decrypt(sealed).decode()
        except InvalidToken:
            raise NotReadable from None

    def renewed(self, sealed: bytes) -> bytes | None:
        """The same under the first key; None if that is the one it is under. Raises NotReadable."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None
