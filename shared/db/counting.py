"""How many messages there are of some kind: whole days from the statistics, what is left of days at
both ends from the messages, on one snapshot."""

# ruff: noqa: S608 - what is put into the statement are words of our own

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from shared.db import listing, message_statistics
from shared.db.connection import Connection

LOOK_COUNT = 300_000
"""Messages that are gone through for one count, where statistics do not tell."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CountFilter:
    """Which messages to count; None does not filter. Without `created_from` those of the last three
    months."""

    statuses: Sequence[str] | None = None
    recipient: str | None = field(default=None, repr=False)
    reference: str | None = None
    country: str | None = None
    message_class: int | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


class TooManyToCount(Exception):
    """More than LOOK_COUNT messages would have to be gone through."""


async def count(connection: Connection, account_id: int, wanted: CountFilter) -> int:
    """How many of the account's messages fit; in a transaction of one snapshot. Raises
    TooManyToCount."""
    begin = _midnight(await message_statistics.begin(connection))
    from_at = begin if wanted.created_from is None else max(begin, wanted.created_from)
    end = _midnight(datetime.now(UTC).date()) + _DAY
    until = end if wanted.created_until is None else min(end, wanted.created_until)
    if until <= from_at:
        return 0
    if wanted.recipient is not None or wanted.reference is not None:
        return await _gone_through(connection, account_id, wanted, from_at, until)
    first = _midnight(from_at.date()) + (_DAY if from_at > _midnight(from_at.date()) else _DAY * 0)
    last = _midnight(until.date())
    if last <= first:
        return await _gone_through(connection, account_id, wanted, from_at, until)
    total_count = await _of_days(connection, account_id, wanted, first.date(), last.date() - _DAY)
    for edge in ((from_at, first), (last, until)):
        if edge[0] < edge[1]:
            total_count += await _gone_through(connection, account_id, wanted, *edge)
    return total_count


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def _of_days(
    connection: Connection, account_id: int, wanted: CountFilter, first: date, last: date
) -> int:
    asked = message_statistics.StatisticsQuestion(
        first, last, wanted.statuses, wanted.country, wanted.message_class
    )
    rows = await message_statistics.read(connection, account_id, asked)
    return sum(row.message_count for row in rows)


def _counting(by_reference: bool) -> str:
    return f"""
SELECT count(*) AS looked_count, count(*) FILTER (WHERE fits) AS fit_count
FROM (
    SELECT created_at >= $4 AND created_at < $5 AND ($6::text[] IS NULL OR status = ANY ($6))
           AND ($7::text IS NULL OR country = $7) AND ($8::smallint IS NULL OR class = $8)
           AND ($9::text IS NULL OR recipient = $9) AS fits
    FROM messages
    WHERE account_id = $1 AND message_id >= $2 AND message_id < $3
      AND {"reference = $10" if by_reference else "$10::text IS NULL"}
    LIMIT {LOOK_COUNT + 1}
) looked"""


_BY_ID, _BY_REFERENCE = _counting(False), _counting(True)


async def _gone_through(
    connection: Connection,
    account_id: int,
    wanted: CountFilter,
    from_at: datetime,
    until: datetime,
) -> int:
    bounds = listing.Filter(created_from=from_at, created_until=until).bounds
    (row,) = await connection.fetch(
        _BY_ID if wanted.reference is None else _BY_REFERENCE,
        account_id,
        *bounds,
        from_at,
        until,
        wanted.statuses,
        wanted.country,
        wanted.message_class,
        wanted.recipient,
        wanted.reference,
    )
    if row["looked_count"] > LOOK_COUNT:
        raise TooManyToCount
    return int(row["fit_count"])
