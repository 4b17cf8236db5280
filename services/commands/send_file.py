"""A file of messages, as batches that the API takes: CSV with a heading, or JSON lines."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.runtime import exits

COLUMNS: Final = (
    "to", "text", "from", "reference", "class", "delivery", "send_at", "valid_for",
    "max_segments", "max_price",
)  # fmt: skip
_REQUIRED: Final = ("to", "text")
_WHOLE_NUMBERS: Final = frozenset({"valid_for", "max_segments"})

BATCH_COUNT_MAX: Final = 1_000
BATCH_BYTES_MAX: Final = 1_000_000
"""A little less than the API's 1 MiB, for what stands around the messages."""
_FAULT_COUNT_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Item:
    """One message: where it stands in the file, and its JSON."""

    line: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """All messages of a file; `digest` tells one file from another."""

    items: tuple[Item, ...]
    digest: str


def read(file: Path) -> Job:
    """Read the whole file. Raises Refusal, naming the lines that are no messages."""
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise exits.NotDone(exits.BAD_INPUT, f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise exits.NotDone(exits.BAD_INPUT, f"{file}: is not UTF-8 text") from None
    faults: list[str] = []
    rows = _json_lines if text.lstrip().startswith("{") else _csv
    items = tuple(rows(text, faults))
    if not items and not faults:
        faults.append("there are no messages in it")
    if faults:
        left_out = len(faults) - _FAULT_COUNT_MAX
        shown = faults[:_FAULT_COUNT_MAX] + ([f"and {left_out} more"] if left_out > 0 else [])
        raise exits.NotDone(exits.BAD_INPUT, *(f"{file}: {fault}" for fault in shown))
    return Job(items, hashlib.sha256(raw).hexdigest())


def _json_lines(text: str, faults: list[str]) -> Iterator[Item]:
    # Not splitlines(), which also splits at signs that a JSON string may hold.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            faults.append(f"line {number}: is not JSON")
            continue
        if isinstance(message, dict):
            yield Item(number, line.strip().encode())
        else:
            faults.append(f"line {number}: is not a JSON object")


def _csv(text: str, faults: list[str]) -> Iterator[Item]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        unknown = [name for name in names if name not in COLUMNS]
        missing = [name for name in _REQUIRED if name not in names]
        if unknown or missing:
            known = ", ".join(COLUMNS)
            faults += [f"line 1: unknown column {name!r}, expected {known}" for name in unknown]
            faults += [f"line 1: column {name!r} is missing" for name in missing]
            return
        for row in reader:
            if None in row or None in row.values():
                faults.append(f"line {reader.line_num}: has not {len(names)} columns")
                continue
            message = {
                name: int(value) if name in _WHOLE_NUMBERS and value.isdecimal() else value
                for name, value in row.items()
                if value or name in _REQUIRED
            }
            body = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
            yield Item(reader.line_num, body.encode())
    except csv.Error as error:
        faults.append(f"line {reader.line_num}: {error}")


def batches(items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """The items in order, as many at a time as one request may hold."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if len(batch) == BATCH_COUNT_MAX or (batch and size + len(item.body) > BATCH_BYTES_MAX):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(item)
        size += len(item.body) + 1
    if batch:
        yield tuple(batch)
