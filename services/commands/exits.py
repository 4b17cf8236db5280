"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
UNREACHABLE: Final = 3


class Refusal(Exception):
    """The command ends with `code`; the text, one line a fault, goes to standard error."""

    def __init__(self, code: int, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.code = code
