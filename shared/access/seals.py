"""Texts that are not to be kept: each under a key of its own, made anew for it and never used
again, which is gone with the row that holds its salt (A11)."""

from __future__ import annotations

import hmac
import secrets
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.access.keys import Keys
from shared.access.vault import NotReadable

SALT_BYTES = 32
NAME_BYTES = 8

# Purposes part these keys from whatever else the platform's keys make: no token holds a colon.
_SEAL = b"seal:"
_NAME = b"seal-name:"
_VEIL = b"veil:"
_NONCE = bytes(12)
"""A nonce tells two texts under one key apart; here there is only one."""


class Sealed(NamedTuple):
    """A text as it may be stored for a while. `key_name` tells which key of the platform it takes,
    and nothing of that key."""

    salt: bytes
    octets: bytes
    key_name: bytes

    def __repr__(self) -> str:
        return f"Sealed({len(self.octets)} octets)"

    @property
    def packed(self) -> bytes:
        """All of it in one."""
        return self.key_name + self.salt + self.octets

    @classmethod
    def unpacked(cls, packed: bytes) -> Sealed:
        """The opposite."""
        salt_at, octets_at = NAME_BYTES, NAME_BYTES + SALT_BYTES
        return cls(packed[salt_at:octets_at], packed[octets_at:], packed[:salt_at])


class Seals:
    """Seals under the platform's first key, opens what any of them has sealed."""

    def __init__(self, platform: Keys) -> None:
        self._platform = platform
        self.key_name = platform.sign(_NAME)[:NAME_BYTES]
        """Of the key that seals now."""

    def seal(self, text: bytes, about: bytes) -> Sealed:
        """The text sealed; `about` says what it belongs to, and is needed to open it."""
        salt = secrets.token_bytes(SALT_BYTES)
        key = self._platform.sign(_SEAL + salt)
        return Sealed(salt, AESGCM(key).encrypt(_NONCE, text, about), self.key_name)

    def open(self, sealed: Sealed, about: bytes) -> bytes:
        """The text that was sealed. Raises NotReadable: its key is gone, or it is about something
        else."""
        for key in self._platform.signatures(_SEAL + sealed.salt):
            try:
                return AESGCM(key).decrypt(_NONCE, sealed.octets, about)
            except InvalidTag:
                continue
        raise NotReadable

    def veiled(self, fingerprint: bytes) -> bytes:
        """A fingerprint, of which nobody without the key can tell what it is of, cut to its
        length."""
        return hmac.digest(self._platform.sign(_VEIL), fingerprint, "sha256")[: len(fingerprint)]
