"""What is wrong with an operator's file, gathered rather than raised one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from services.commands.configuration import values

Decoded = TypeVar("Decoded", bound=msgspec.Struct)


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

    def decode(
        self, kind: type[Decoded], entry: Mapping[str, object], where: str
    ) -> Decoded | None:
        """The entry, or None after all its faults were noted."""
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        fault_count = len(self.sentences)
        values: dict[str, object] = {}
        for name in entry.keys() - fields.keys():
            self.add(f"{where}.{name}", f"unknown key, expected {', '.join(fields)}")
        for name, field in fields.items():
            if name in entry:
                values[field.name] = self.convert(entry[name], field.type, f"{where}.{name}")
            elif field.required:
                self.add(f"{where}.{name}", "is missing")
        return kind(**values) if len(self.sentences) == fault_count else None
