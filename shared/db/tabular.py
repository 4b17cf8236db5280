"""Rows as lines of a file, made by PostgreSQL: of CSV (RFC 4180, every cell in quotes) or of JSON.

A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a line's end for a formula.
What anybody else has written (references, senders' names, carriers' words) gets an apostrophe in
front there (F85); numbers in E.164 stay as they are, for a plus and digits compute nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

CSV_END = "\r\n"


class FileFormat(StrEnum):
    """What a file is made of."""

    CSV = "csv"
    JSONL = "jsonl"


CONTENT_TYPES = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.JSONL: "application/x-ndjson",
}


class FileColumn(NamedTuple):
    """A column's name, and the expression that it is; `is_foreign`: others have written it."""

    name: str
    expression: str
    is_foreign: bool = False


def head(columns: Sequence[FileColumn], chosen: FileFormat) -> str:
    """What stands before the first line."""
    if chosen is FileFormat.JSONL:
        return ""
    return ",".join(f'"{column.name}"' for column in columns) + CSV_END


def line(columns: Sequence[FileColumn], chosen: FileFormat) -> str:
    """The expression that makes a row's line, with its end. What is NULL is an empty cell."""
    if chosen is FileFormat.JSONL:
        members = ", ".join(f'{column.expression} AS "{column.name}"' for column in columns)
        return f"row_to_json((SELECT r FROM (SELECT {members}) r))::text || E'\\n'"  # noqa: S608 - words of our own
    cells = """, '","', """.join(map(_cell, columns))
    return f"""concat('"', {cells}, E'"\\r\\n')"""


def _cell(column: FileColumn) -> str:
    if not column.is_foreign:
        return f"({column.expression})"
    written = column.expression
    return (
        rf"replace(CASE WHEN {written} ~ '^[-=+@\t\r\n]' AND {written} !~ '^\+[0-9]+$'"
        rf""" THEN '''' || {written} ELSE {written} END, '"', '""')"""
    )


def time_text(expression: str) -> str:
    """A time as RFC 3339 has it, in UTC."""
    return f"""to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def money_text(micro: str) -> str:
    """An amount as `money.format_amount` writes it."""
    units = f"(({micro})::numeric / 1000000)"
    return f"round({units}, greatest(2, min_scale({units})))::text"


def choice(expression: str, words: dict[str, str], otherwise: str) -> str:
    """One word for another; the words are our own."""
    whens = " ".join(f"WHEN '{word}' THEN '{shown}'" for word, shown in words.items())
    return f"CASE {expression} {whens} ELSE {otherwise} END"
