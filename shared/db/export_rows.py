"""The lines of exports, read and written out by PostgreSQL: so a million rows pass through a worker
as text, a piece at a time, and none of them becomes an object."""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from shared.db import listing, message_statistics, tabular
from shared.db.connection import Connection
from shared.db.exports import ExportOrder, StoredExport
from shared.db.tabular import FileColumn, FileFormat
from shared.sms import outcome_words
from shared.sms.classes import CLASSES

LOOK_COUNT = 5_000
"""Messages that are gone through for a piece."""
PIECE_DAYS = 7
"""Days of statistics in a piece."""

_CLASS = tabular.choice("class", {str(n): word for n, word in enumerate(CLASSES)}, "''")
_OUTCOME = tabular.choice(
    "status", {str(status): str(each) for status, each in outcome_words.OUTCOMES.items()}, "''"
)
_DETAILS = "({})".format(tabular.choice("reason", dict(outcome_words.SENTENCES), "reason"))

MESSAGE_COLUMNS: Sequence[FileColumn] = (
    FileColumn("id", "message_id"),
    FileColumn("created_at", tabular.time_text("created_at")),
    FileColumn("from", "sender", is_foreign=True),
    FileColumn("to", "recipient", is_foreign=True),
    FileColumn("country", "country"),
    FileColumn("class", _CLASS),
    FileColumn("status", "status"),
    FileColumn("outcome", _OUTCOME),
    FileColumn("details", _DETAILS, is_foreign=True),
    FileColumn("code", "code", is_foreign=True),
    FileColumn("segments", "segment_count"),
    FileColumn("price", tabular.money_text("segment_count * segment_price_micro")),
    FileColumn(
        "cost",
        tabular.money_text("(segment_count - refunded_segment_count) * segment_price_micro"),
    ),
    FileColumn("currency", "currency"),
    FileColumn("reference", "reference", is_foreign=True),
    FileColumn("send_at", tabular.time_text("send_at")),
    FileColumn("updated_at", tabular.time_text("updated_at")),
)
"""What is told of a message; its text is not."""

_OF_GROUP = {
    "day": FileColumn("day", "day"),
    "country": FileColumn("country", "country"),
    "class": FileColumn("class", _CLASS),
    "status": FileColumn("status", "status"),
    "reason": FileColumn("details", _DETAILS, is_foreign=True),
    "code": FileColumn("code", "code", is_foreign=True),
}
_SUMS = (
    FileColumn("currency", "currency"),
    FileColumn("messages", "message_count"),
    FileColumn("segments", "segment_count"),
    FileColumn("cost", tabular.money_text("cost_micro")),
    *(FileColumn(str(each), f"{each}_count") for each in outcome_words.MessageOutcome),
)


def statistics_columns(groups: Sequence[str]) -> list[FileColumn]:
    """What is told of sums in these groups."""
    return [*(_OF_GROUP[group] for group in groups), *_SUMS]


def head(order: ExportOrder) -> str:
    """What stands before the first line of a file."""
    return tabular.head(
        MESSAGE_COLUMNS
        if order.kind == "messages"
        else statistics_columns(message_statistics.GROUPS),
        order.format,
    )


class FileLines(NamedTuple):
    """A part of what was ordered. `read_until` is the last message that was looked at, None of
    statistics; `progress` is of the whole, in percent."""

    text: str
    row_count: int
    read_until: UUID | None
    progress: int
    is_last: bool


@cache
def _of_messages(chosen: FileFormat) -> str:
    return f"""
WITH looked AS MATERIALIZED (
    SELECT message_id, created_at, sender, recipient, country, class, status, reason, code,
           segment_count, segment_price_micro, refunded_segment_count, currency, reference, send_at,
           updated_at,
           created_at >= $5 AND created_at < $6 AND ($7::text[] IS NULL OR status = ANY ($7))
           AND ($8::text IS NULL OR country = $8) AND ($9::smallint IS NULL OR class = $9)
           AND sender <> ALL ($10::text[]) AS fits
    FROM messages WHERE account_id = $1 AND message_id > $2 AND message_id < $3
    ORDER BY message_id LIMIT $4
)
SELECT count(*) AS looked_count, count(*) FILTER (WHERE fits) AS row_count,
       (SELECT message_id FROM looked ORDER BY message_id DESC LIMIT 1) AS read_until,
       max(created_at) AS reached_at,
       coalesce(string_agg({tabular.line(MESSAGE_COLUMNS, chosen)}, '' ORDER BY message_id)
                FILTER (WHERE fits), '') AS lines
FROM looked"""


async def of_messages(
    connection: Connection, leased: StoredExport, hidden_senders: Sequence[str]
) -> FileLines:
    """The messages that follow those that are written, without those of these senders. Each is as
    it stands when it is read."""
    order = leased.order
    bounds = listing.Filter(created_from=order.from_at, created_until=order.to_at).bounds
    (row,) = await connection.fetch(
        _of_messages(order.format),
        leased.account_id,
        leased.read_until or UUID(int=max(0, bounds[0].int - 1)),
        bounds[1],
        LOOK_COUNT,
        order.from_at,
        order.to_at,
        order.statuses,
        order.country,
        order.message_class,
        list(hidden_senders),
    )
    is_last = row["looked_count"] < LOOK_COUNT
    progress = 100 if is_last else _share(order, row["reached_at"])
    return FileLines(row["lines"], row["row_count"], row["read_until"], progress, is_last)


def _share(order: ExportOrder, reached_at: datetime) -> int:
    """How much of the time that was ordered lies before that moment, in percent, never all."""
    whole = min(order.to_at, datetime.now(UTC)) - order.from_at
    done = reached_at - order.from_at
    return max(0, min(99, int(100 * (done / whole)))) if whole > timedelta(0) else 99


@cache
def _of_statistics(groups: tuple[str, ...], filters: frozenset[str], chosen: FileFormat) -> str:
    """The statement that writes sums out: how many rows, and their lines."""
    each = tabular.line(statistics_columns(groups), chosen)
    ordered = message_statistics.grouped(groups, filters)
    return f"""
SELECT count(*) AS row_count, coalesce(string_agg({each}, '' ORDER BY place), '') AS lines
FROM (SELECT *, row_number() OVER () AS place FROM ({ordered}) ordered) rows"""


async def statistics_lines(
    connection: Connection,
    account_id: int,
    asked: message_statistics.StatisticsQuestion,
    chosen: FileFormat,
) -> tuple[int, str]:
    """How many rows of sums there are, and their lines."""
    ((row_count, lines),) = await connection.fetch(
        _of_statistics(asked.groups, asked.filters, chosen),
        *message_statistics.arguments(account_id, asked),
    )
    return row_count, lines


async def of_statistics(connection: Connection, leased: StoredExport) -> FileLines:
    """The sums of the days that follow those that are written."""
    order = leased.order
    first, end = order.from_at.date(), order.to_at.date()
    first_day = first + timedelta(days=leased.piece_count * PIECE_DAYS)
    last_day = min(first_day + timedelta(days=PIECE_DAYS), end) - timedelta(days=1)
    asked = message_statistics.StatisticsQuestion(
        first_day,
        last_day,
        order.statuses,
        order.country,
        order.message_class,
        message_statistics.GROUPS,
    )
    row_count, lines = await statistics_lines(connection, leased.account_id, asked, order.format)
    is_last = last_day + timedelta(days=1) >= end
    done = (last_day - first).days + 1
    progress = 100 if is_last else 100 * done // max(1, (end - first).days)
    return FileLines(lines, row_count, None, progress, is_last)
