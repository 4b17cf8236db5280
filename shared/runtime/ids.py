"""Identifiers ordered by time."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from uuid import UUID

_RANDOM_BITS = (1 << 62) - 1
_DRAWN = struct.Struct("256Q")
"""So many random numbers are asked of the system at once: its answer costs as much as all else."""
_last_ms = 0
_sequence = 0


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562 §5.7): milliseconds, then a counter within the millisecond, then
    62 random bits. Strictly increasing within a process."""
    global _last_ms, _sequence  # noqa: PLW0603 - one order for the whole process
    now_ms = time.time_ns() // 1_000_000
    if now_ms > _last_ms:
        _last_ms, _sequence = now_ms, 0
    else:
        _sequence += 1
        if _sequence > 0xFFF:
            _last_ms, _sequence = _last_ms + 1, 0
    random_bits = next(_random_numbers) & _RANDOM_BITS
    return UUID(int=_last_ms << 80 | 0x7 << 76 | _sequence << 64 | 0b10 << 62 | random_bits)


def _draw() -> Iterator[int]:
    while True:
        yield from _DRAWN.unpack(os.urandom(_DRAWN.size))


def _draw_anew() -> None:
    """What is drawn already belongs to the process that was forked from."""
    global _random_numbers  # noqa: PLW0603 - one supply for the whole process
    _random_numbers = _draw()


_random_numbers = _draw()
os.register_at_fork(after_in_child=_draw_anew)
