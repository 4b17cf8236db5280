"""A credential that does not show itself."""

from __future__ import annotations

from pathlib import Path

from shared.runtime import settings

LENGTH_MAX = 64 * 1024
"""Characters read of a file."""


class NotThere(ValueError):
    """A credential is not where the settings say; the sentence names the place."""


class Secret:
    """A password or key from a carrier's settings, or the place where it is kept, which is read
    when it is needed: masked in every repr, and shown by `reveal`."""

    __slots__ = ("_file", "_value", "_variable")

    def __init__(self, value: str, *, file: str = "", variable: str = "") -> None:
        """The value, or else one place: a file's name, or that of a variable of the environment."""
        self._value, self._file, self._variable = value, file, variable

    @property
    def literal(self) -> str | None:
        """The credential if the settings hold it; None if they say where it is kept."""
        return None if self._file or self._variable else self._value

    def reveal(self) -> str:
        """The credential itself, for the wire only; of a file without its last line break. Raises
        NotThere."""
        if self._variable:
            if not (found := settings.named(self._variable)):
                raise NotThere(f"the variable {self._variable} is not set")
            return found
        return _read(self._file) if self._file else self._value

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
