"""What the simulated carrier took: one JSON line per accepted submit, in order; a test's oracle."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from itertools import islice

import msgspec

from shared.sms import encoding, segmentation

FLUSH_SECONDS = 0.02
TAIL_ENTRIES = 10_000
UNFINISHED_MAX = 10_000
_LATIN_1_CODING = 3
_UCS2_CODING = 8


class Entry(msgspec.Struct, omit_defaults=True, gc=False):
    """One accepted submit. `t` is Unix time in ms; `ref`, `total` and `number` are the header's;
    `whole` is the message's text, on the line of the part that completes it."""

    t: float
    face: str
    system_id: str
    id: str
    source: str
    recipient: str
    data_coding: int
    text: str
    ref: int | None = None
    total: int = 1
    number: int = 1
    whole: str | None = None


def text_of(payload: bytes, data_coding: int) -> str:
    """A payload in the alphabet that SMPP's data_coding names (spec 5.2.19); the default's is
    GSM 03.38."""
    if data_coding == _LATIN_1_CODING:
        return payload.decode("latin-1")
    coding = encoding.Encoding.UCS2 if data_coding == _UCS2_CODING else encoding.Encoding.GSM7
    return encoding.decode(payload, coding)


def _private(path: str, flags: int) -> int:
    """Texts and numbers are for the file's owner only."""
    return os.open(path, flags, 0o600)


class Journal:
    """The last entries, in memory, and all of them in a file where a path is given.

    Entries reach the file within FLUSH_SECONDS, before the first receipt for them leaves, and at
    `close`; they survive the death of everything but this process.
    """

    def __init__(self, path: str = "") -> None:
        self._file = open(path, "ab", buffering=0, opener=_private) if path else None  # noqa: SIM115 - `close` does
        self._encoder = msgspec.json.Encoder()
        self._unwritten: list[Entry] = []
        self._tail: deque[Entry] = deque(maxlen=TAIL_ENTRIES)
        self._unfinished: OrderedDict[tuple[str, ...], dict[int, bytes]] = OrderedDict()
        self._flush: asyncio.TimerHandle | None = None
        self.count = 0

    def add(self, entry: Entry, udh: bytes, payload: bytes) -> None:
        """Note an accepted submit. Reads the header and fills in what it says."""
        entry.text = text_of(payload, entry.data_coding)
        found = segmentation.parse_udh(udh) if udh else None
        if found is None:
            entry.whole = entry.text
        else:
            entry.ref, entry.total, entry.number = found.reference, found.total, found.number
            entry.whole = self._join(entry, payload)
        self.count += 1
        self._tail.append(entry)
        if self._file is None:
            return
        self._unwritten.append(entry)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def after(self, position: int, limit: int) -> tuple[int, list[Entry]]:
        """Entries following the first `position` ones, as far as they are remembered, and the
        position to ask from next."""
        first = self.count - len(self._tail)
        start = max(position, first)
        entries = list(islice(self._tail, start - first, start - first + limit))
        return start + len(entries), entries

    def flush(self) -> None:
        """Write what is not yet in the file."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._file is not None and self._unwritten:
            lines = memoryview(self._encoder.encode_lines(self._unwritten))
            self._unwritten.clear()
            while lines:
                lines = lines[self._file.write(lines) :]

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _join(self, entry: Entry, payload: bytes) -> str | None:
        key = (entry.system_id, entry.source, entry.recipient, str(entry.ref), str(entry.total))
        parts = self._unfinished.setdefault(key, {})
        parts[entry.number] = payload
        if len(parts) < entry.total:
            if len(self._unfinished) > UNFINISHED_MAX:
                self._unfinished.popitem(last=False)
            return None
        del self._unfinished[key]
        whole = b"".join(parts[n] for n in range(1, entry.total + 1))
        return text_of(whole, entry.data_coding)
