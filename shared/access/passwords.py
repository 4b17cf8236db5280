"""Passwords: what may be one, and the argon2id hash that is all that is stored of it (RFC 9106)."""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

import argon2

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 128
"""Characters. Long ones are welcome; there is no rule about which (NIST SP 800-63B, 3.1.1.2)."""


class Cost(NamedTuple):
    """What one guess costs whoever has stolen the table. A hash tells its own cost, so this may be
    changed at any time: a user's goes over at the next sign-in."""

    memory_kib: int
    passes: int

    @property
    def hasher(self) -> argon2.PasswordHasher:
        """The library, so set."""
        return argon2.PasswordHasher(
            time_cost=self.passes, memory_cost=self.memory_kib, parallelism=1
        )


def fault(password: str, email: str) -> str | None:
    """Why this cannot be this user's password; None if it can."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters."
    if not password.isprintable():
        return "A password is of characters that can be seen, and blanks."
    if len(set(password)) < LENGTH_MIN // 2:
        return f"A password has {LENGTH_MIN // 2} different characters or more."
    word = _normal(password).decode().casefold()
    if word in email.casefold() or email.casefold() in word:
        return "A password is not the user's address."
    return None


def make(password: str, cost: Cost) -> str:
    """The hash to store, with its salt and cost. Takes `cost`: never on an event loop."""
    return cost.hasher.hash(_normal(password))


def fits(password: str, stored: str, cost: Cost) -> bool:
    """Whether it is the password of a stored hash. Takes that hash's cost: never on a loop."""
    try:
        return cost.hasher.verify(stored, _normal(password))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def is_outdated(stored: str, cost: Cost) -> bool:
    """Whether the hash was made at another cost."""
    return cost.hasher.check_needs_rehash(stored)


def _normal(password: str) -> bytes:
    """The same octets, whichever keyboard has composed the characters."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
