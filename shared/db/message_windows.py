"""An account's messages of a stretch of time, by offset and counted: for clients that page so, and
ask for stretches of seconds. The time is that in a message's id, when it was taken in, so a stretch
is a range of an index; whole days of it are counted already."""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from shared.db import message_statistics
from shared.db.connection import Connection
from shared.db.listing import DRIFT
from shared.db.messages import STORED_COLUMNS, StoredMessage

SECOND_MAX = (1 << 48) // 1000 - 1
"""The last second that an id can name, in the year 10889."""


class WantedStandings(NamedTuple):
    """Where messages stand: a status with any reason but some, and some pairs of both."""

    statuses: Sequence[str]
    except_for: Sequence[tuple[str, str]] = ()
    and_for: Sequence[tuple[str, str]] = ()

    def hold(self, status: str, reason: str) -> bool:
        """Whether a message that has this status for this reason is one of them."""
        pair = (status, reason)
        return (status in self.statuses and pair not in self.except_for) or pair in self.and_for


@dataclass(frozen=True, slots=True)
class MessageWindow:
    """Which messages: taken in from the first of these Unix seconds to the last, both of them
    included; None does not filter. `hidden` are senders whose messages are not shown. PostgreSQL's
    time, when a message was stored, may bound it as well."""

    from_second: int
    to_second: int
    recipient: str | None = field(default=None, repr=False)
    standings: WantedStandings | None = None
    ids: Sequence[UUID] | None = None
    hidden: Sequence[str] = ()
    stored_from: datetime | None = None
    stored_before: datetime | None = None


class WindowRow(NamedTuple):
    """A message, and when its carrier took the first of it; None: not yet, as far as is known."""

    message: StoredMessage
    accepted_at: datetime | None


def second_of(message_id: UUID) -> int:
    """The Unix time at which the message was taken in."""
    return (message_id.int >> 80) // 1000


def first_id_of(second: int) -> UUID:
    """What parts the ids of earlier seconds from those of this one and later."""
    return UUID(int=min(max(0, second), SECOND_MAX + 1) * 1000 << 80)


_CONDITIONS = {
    "hidden": "sender <> ALL (?::text[])",
    "ids": "message_id = ANY (?::uuid[])",
    "recipient": "recipient = ?",
    "stored_before": "created_at < ?",
    "stored_from": "created_at >= ?",
    "standings": "(status = ANY (?::text[]) AND status || ' ' || reason <> ALL (?::text[])"
    " OR status || ' ' || reason = ANY (?::text[]))",
}
"""What is tried on each message of the stretch; each ? is a value."""


def _within(names: tuple[str, ...], first: int) -> str:
    """From which rows to read, for filters of these names: the account and the bounds of ids are $n
    from the `first` on, then come the filters' values."""
    bounds = "account_id = ? AND message_id >= ? AND message_id < ?"
    tried = " AND ".join((bounds, *(_CONDITIONS[name] for name in names)))
    before, *others = tried.split("?")
    numbered = "".join(f"${place}{text}" for place, text in enumerate(others, first))
    return f"FROM messages WHERE {before}{numbered}"


def _filters(window: MessageWindow) -> tuple[tuple[str, ...], list[object]]:
    """The names of the window's filters, and all their values."""
    given: dict[str, tuple[object, ...]] = {}
    if window.hidden:
        given["hidden"] = (window.hidden,)
    if window.ids is not None:
        given["ids"] = (window.ids,)
    for name in ("recipient", "stored_before", "stored_from"):
        if (value := getattr(window, name)) is not None:
            given[name] = (value,)
    if window.standings is not None:
        statuses, *pairs = window.standings
        given["standings"] = (statuses, *([" ".join(pair) for pair in each] for each in pairs))
    return tuple(given), [value for values in given.values() for value in values]


@cache
def page_statement(names: tuple[str, ...]) -> str:
    """The statement for a page with filters of these names; $1 and $2 are how many, after how many.
    When the carrier took a message is asked of those of the page alone."""
    return f"""
SELECT m.*, (SELECT min(accepted_at) FROM segments s WHERE s.message_id = m.message_id)
FROM (
    SELECT {STORED_COLUMNS} {_within(names, 3)} ORDER BY message_id DESC LIMIT $1 OFFSET $2
) m ORDER BY message_id DESC"""


@cache
def count_statement(names: tuple[str, ...]) -> str:
    """The statement that counts with filters of these names."""
    return f"SELECT count(*) {_within(names, 1)}"


async def page(
    connection: Connection, account_id: int, window: MessageWindow, limit: int, offset: int
) -> list[WindowRow]:
    """The account's messages of the window, newest first, `limit` of them after `offset`."""
    names, values = _filters(window)
    rows = await connection.fetch(
        page_statement(names), limit, offset, account_id, *_bounds(window), *values
    )
    return [WindowRow(StoredMessage(*tuple(row)[:-1]), row[-1]) for row in rows]


async def count(connection: Connection, account_id: int, window: MessageWindow) -> int:
    """How many messages of the account the window has; in a transaction of one snapshot."""
    days = await _counted_days(connection, window)
    if days is None:
        return await _gone_through(connection, account_id, window)
    first, end = days
    edges = replace(window, stored_before=first), replace(window, stored_from=end)
    total_count = sum([await _gone_through(connection, account_id, edge) for edge in edges])
    asked = message_statistics.StatisticsQuestion(
        first.date(), end.date() - timedelta(days=1), groups=("status", "reason")
    )
    for row in await message_statistics.read(connection, account_id, asked):
        if window.standings is None or window.standings.hold(row.status or "", row.reason or ""):
            total_count += row.message_count
    return total_count


async def _counted_days(
    connection: Connection, window: MessageWindow
) -> tuple[datetime, datetime] | None:
    """The midnights, in UTC, between which all is in the window and has been counted; None where
    there is no such day, or a filter that days are not told apart by."""
    if window.recipient is not None or window.hidden:
        return None
    begin = _midnight(await message_statistics.begin(connection))
    now = datetime.now(UTC)
    from_at = datetime.fromtimestamp(min(window.from_second, now.timestamp()), UTC)
    to_at = datetime.fromtimestamp(min(window.to_second, now.timestamp()), UTC)
    first = max(begin, _midnight((from_at + DRIFT).date()) + timedelta(days=1))
    end = _midnight((to_at - DRIFT).date())
    if end <= first or not await message_statistics.is_complete(connection):
        return None
    return first, end


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def _gone_through(connection: Connection, account_id: int, window: MessageWindow) -> int:
    names, values = _filters(window)
    least, above = _bounds(window)
    if window.stored_before is not None:
        above = min(above, first_id_of(int((window.stored_before + DRIFT).timestamp())))
    if window.stored_from is not None:
        least = max(least, first_id_of(int((window.stored_from - DRIFT).timestamp())))
    counted = count_statement(names)
    return int(await connection.fetchval(counted, account_id, least, above, *values))


def _bounds(window: MessageWindow) -> tuple[UUID, UUID]:
    """(the least id of the window, the one above all of it)."""
    return first_id_of(window.from_second), first_id_of(window.to_second + 1)
