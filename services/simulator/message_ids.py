"""The carrier's names of submits: as its answers write them, and as its receipts do."""

from __future__ import annotations

import time

from services.simulator import options

PADDING = "0000"


class MessageIds:
    """Ids are 64 bits, unique over all runs that begin in different seconds; or, where there are
    only `count` of them, given again in the same order."""

    def __init__(self, form: options.ReceiptIds, count: int) -> None:
        self._form = form
        self._count = count
        self._run = int(time.time()) & 0xFFFFFFFF
        self._number = 0

    def new(self) -> str:
        """The next, as an answer writes it."""
        self._number += 1
        number = self._number % self._count if self._count else self._number
        value = self._run << 32 | number
        return str(value) if self._form == "hex" else f"{value:016x}"

    def in_receipt(self, answered: str) -> str:
        """The same as a receipt writes it."""
        match self._form:
            case "decimal":
                return str(int(answered, 16))
            case "hex":
                return f"{int(answered):x}"
            case "padded":
                return PADDING + answered
            case "upper":
                return answered.upper()
        return answered
