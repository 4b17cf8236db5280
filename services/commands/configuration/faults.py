"""What is wrong with an operator's file, gathered rather than raised one by one."""

from __future__ import annotations

from typing import Any

import msgspec

from services.commands.configuration import values


class Faults:
    """Sentences of the form `place: what is wrong`, in the order they were found."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Note a fault. `what` never carries a credential."""
        self.sentences.append(f"{where}: {what}")

    def convert(self, value: object, kind: Any, where: str) -> Any:
        """The value as `kind`, strictly; None after a fault was noted."""
        try:
            return msgspec.convert(value, kind, dec_hook=values.read)
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `$")
            self.add(where + path.rstrip("`"), what)
            return None
