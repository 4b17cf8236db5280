"""Stretches of ids: messages that were made within the same 2^16 ms, as pages hold them.

Ids begin with 48 bits of milliseconds. A page never reaches beyond its stretch, so what may hold a
message lies between the message and the stretch's end, in one index by the page's last message.
"""

from __future__ import annotations

from uuid import UUID

_BITS = 96
"""An id without so many of its last bits is its stretch."""


def of(message_id: UUID) -> int:
    """The stretch in which a message was made."""
    return message_id.int >> _BITS


def last_id(stretch: int) -> UUID:
    """The greatest id there can be in a stretch."""
    return UUID(int=(stretch + 1 << _BITS) - 1)
