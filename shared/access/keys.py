"""The platform's secret keys, and how one takes another's place without anybody being shut out."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

LENGTH_MIN = 32
"""Characters. A producer holds values made with a key, and could try short ones out at leisure."""
COUNT_MAX = 8


class InvalidKeys(ValueError):
    """What is wrong with the keys; the text never holds one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """One key or several: the first signs, every one is believed.

    A key is replaced in three steps, each in every process before the next begins: `old,new` (new
    is believed), `new,old` (new signs; tokens go over to it as they are used, idempotency keys are
    forgotten after a week; texts that are not to be kept within two minutes), `new`. A token that
    was not used in between is no longer good then.
    """

    _keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Keys:
        """Keys separated by commas. Raises InvalidKeys."""
        keys = [key.strip() for key in text.split(",")]
        if len(keys) > COUNT_MAX:
            raise InvalidKeys(f"SLUICE_SECRET_KEY: more than {COUNT_MAX} keys")
        if any(len(key) < LENGTH_MIN for key in keys):
            raise InvalidKeys(f"SLUICE_SECRET_KEY: a key is {LENGTH_MIN} characters or more")
        return cls(tuple(key.encode() for key in keys))

    def sign(self, document: bytes) -> bytes:
        """HMAC-SHA256 under the key that signs."""
        return hmac.digest(self._keys[0], document, "sha256")

    def signatures(self, document: bytes) -> tuple[bytes, ...]:
        """HMAC-SHA256 under each key, the one that signs first."""
        return tuple(hmac.digest(key, document, "sha256") for key in self._keys)
