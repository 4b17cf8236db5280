"""The simulator's journal, followed as it grows: what the carrier took, and when."""

from __future__ import annotations

import json
from pathlib import Path


class Journal:
    """An open journal and the page that was read since the last `take`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._chunks: list[bytes] = []
        self.count = 0

    def follow(self) -> int:
        """Take in what is new; returns how many submits there are since the last `take`."""
        chunk = self._file.read()
        if chunk:
            self._chunks.append(chunk)
            self.count += chunk.count(b"\n")
        return self.count

    def take(self) -> dict[str, list[float]]:
        """Unix times in seconds of the submits to each recipient, and start a new page."""
        times: dict[str, list[float]] = {}
        for line in b"".join(self._chunks).splitlines():
            entry = json.loads(line)
            number = "+" + entry["recipient"].removeprefix("+")
            times.setdefault(number, []).append(entry["t"] / 1000)
        self._chunks.clear()
        self.count = 0
        return times

    def close(self) -> None:
        """Stop following."""
        self._file.close()
