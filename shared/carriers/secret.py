"""A credential that does not show itself."""

from __future__ import annotations

import time
from pathlib import Path

from shared.runtime import settings

LENGTH_MAX = 64 * 1024
"""Characters read of a file."""
READ_AGAIN_SECONDS = 10.0
"""A file that was replaced is believed after this."""


class NotThere(ValueError):
    """A credential is not where the settings say; the sentence names the place."""


class Secret:
    """A password or key from a carrier's settings, or the place where it is kept, which is read
    when it is needed: masked in every repr, and shown by `reveal`."""

    __slots__ = ("_file", "_kept", "_kept_at", "_value", "_variable")

    def __init__(self, value: str, *, file: str = "", variable: str = "") -> None:
        """The value, or else one place: a file's name, or that of a variable of the environment."""
        self._value, self._file, self._variable = value, file, variable
        self._kept, self._kept_at = "", 0.0

    @property
    def literal(self) -> str | None:
        """The credential if the settings hold it; None if they say where it is kept."""
        return None if self._file or self._variable else self._value

    def reveal(self) -> str:
        """The credential itself, for the wire only; of a file without its last line break. One that
        was there goes on being what it was when its place is gone. Raises NotThere."""
        if self._variable:
            if not (found := settings.named(self._variable)):
                raise NotThere(f"the variable {self._variable} is not set")
            return found
        if not self._file:
            return self._value
        if not self._kept or time.monotonic() > self._kept_at + READ_AGAIN_SECONDS:
            try:
                self._kept = _read(self._file)
            except NotThere:
                if not self._kept:
                    raise
            self._kept_at = time.monotonic()
        return self._kept

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._whole == self._whole

    def __hash__(self) -> int:
        return hash(self._whole)

    @property
    def _whole(self) -> tuple[str, str, str]:
        return self._value, self._file, self._variable


def _read(file: str) -> str:
    try:
        with Path(file).open(encoding="utf-8") as opened:
            text = opened.read(LENGTH_MAX).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NotThere(f"{file} cannot be read ({type(error).__name__})") from None
    if not text:
        raise NotThere(f"{file} is empty")
    return text
