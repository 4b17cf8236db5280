"""A verdict on a message that was allowed, as the one number that is stored with it.

From the lowest bit: 16 for reasons, by their places; 3 for the purpose, 0 for none, else by its
place; then the rules' version.
"""

from __future__ import annotations

from typing import Final

from shared.rules.purposes import Purpose
from shared.rules.verdicts import Reason, Verdict

_PURPOSE_SHIFT: Final = 16
_VERSION_SHIFT: Final = 19
_REASONS: Final = tuple(Reason)
_PURPOSES: Final = (None, *Purpose)
_BITS: Final = {reason: 1 << place for place, reason in enumerate(_REASONS)}


def encode(verdict: Verdict) -> int:
    """The number, of 31 bits at most. Raises ValueError for a refusal: what is refused is not
    stored."""
    if not verdict.allowed:
        raise ValueError("a refusal has no code")
    reasons = sum(_BITS[reason] for reason in verdict.reasons)
    purpose = _PURPOSES.index(verdict.purpose)
    return verdict.version << _VERSION_SHIFT | purpose << _PURPOSE_SHIFT | reasons


def decode(code: int) -> Verdict:
    """The verdict that `encode` was given; reasons of a later release are left out."""
    return Verdict(
        purpose=_PURPOSES[code >> _PURPOSE_SHIFT & 7],
        reasons=frozenset(reason for reason, bit in _BITS.items() if code & bit),
        version=code >> _VERSION_SHIFT,
    )
