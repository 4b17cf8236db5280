"""How a process ends that cannot do what it was asked."""

from __future__ import annotations

import os
from typing import Final

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
UNREACHABLE: Final = 3


class NotDone(Exception):
    """The process ends with `code`; the text, a sentence for its operator a fault, holds no
    secret."""

    def __init__(self, code: int, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.code = code


def cannot_listen(host: str, port: int, error: OSError) -> NotDone:
    """What a service says when a port cannot be had."""
    number = error.errno or 0
    # A number below 0 is of the resolver, and asyncio tells the place once more.
    why = os.strerror(number) if number > 0 else error.strerror
    return NotDone(FAILED, f"cannot listen on {host}:{port}: {why or type(error).__name__}")
