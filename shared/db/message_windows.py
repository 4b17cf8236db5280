"""An account's messages of a stretch of time, by offset and counted: for clients that page so, and
ask for stretches of seconds. The time is that in a message's id, when it was taken in, so a stretch
is a range of an index."""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.db.messages import STORED_COLUMNS, StoredMessage

SECOND_MAX = (1 << 48) // 1000 - 1
"""The last second that an id can name, in the year 10889."""


class WantedStandings(NamedTuple):
    """Where messages stand: a status with any reason but some, and some pairs of both."""

    statuses: Sequence[str]
    except_for: Sequence[tuple[str, str]] = ()
    and_for: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class MessageWindow:
    """Which messages: taken in from the first of these Unix seconds to the last, both of them
    included; None does not filter. `hidden` are senders whose messages are not shown."""

    from_second: int
    to_second: int
    recipient: str | None = field(default=None, repr=False)
    standings: WantedStandings | None = None
    ids: Sequence[UUID] | None = None
    hidden: Sequence[str] = ()


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
    "standings": "(status = ANY (?::text[]) AND status || ' ' || reason <> ALL (?::text[])"
    " OR status || ' ' || reason = ANY (?::text[]))",
}
"""What is tried on each message of the stretch; each ? is a value."""


@cache
def _within(names: tuple[str, ...]) -> str:
    """From which rows to read, for filters of these names: $1 to $3 are the account and the bounds
    of ids, then come the filters' values."""
    tried = " AND ".join(
        (
            "account_id = ? AND message_id >= ? AND message_id < ?",
            *map(_CONDITIONS.__getitem__, names),
        )
    )
    first, *others = tried.split("?")
    numbered = "".join(f"${place}{text}" for place, text in enumerate(others, 1))
    return f"FROM messages WHERE {first}{numbered}"


def _filters(window: MessageWindow) -> dict[str, tuple[object, ...]]:
    """The values of the window's filters, by name, as far as there are any."""
    given: dict[str, tuple[object, ...]] = {}
    if window.hidden:
        given["hidden"] = (window.hidden,)
    if window.ids is not None:
        given["ids"] = (window.ids,)
    if window.recipient is not None:
        given["recipient"] = (window.recipient,)
    if window.standings is not None:
        statuses, *pairs = window.standings
        given["standings"] = (statuses, *([" ".join(pair) for pair in each] for each in pairs))
    return given


async def page(
    connection: Connection, account_id: int, window: MessageWindow, limit: int, offset: int
) -> list[WindowRow]:
    """The account's messages of the window, newest first, `limit` of them after `offset`."""
    filters = _filters(window)
    values = [value for each in filters.values() for value in each]
    place = len(values) + 4
    rows = await connection.fetch(
        f"""
        SELECT m.*, (SELECT min(accepted_at) FROM segments s WHERE s.message_id = m.message_id)
        FROM (
            SELECT {STORED_COLUMNS} {_within(tuple(filters))}
            ORDER BY message_id DESC LIMIT ${place} OFFSET ${place + 1}
        ) m ORDER BY message_id DESC""",
        account_id,
        *_bounds(window),
        *values,
        limit,
        offset,
    )
    return [WindowRow(StoredMessage(*tuple(row)[:-1]), row[-1]) for row in rows]


async def count(connection: Connection, account_id: int, window: MessageWindow) -> int:
    """How many messages of the account the window has."""
    filters = _filters(window)
    values = [value for each in filters.values() for value in each]
    counted = f"SELECT count(*) {_within(tuple(filters))}"
    return int(await connection.fetchval(counted, account_id, *_bounds(window), *values))


def _bounds(window: MessageWindow) -> tuple[UUID, UUID]:
    """(the least id of the window, the one above all of it)."""
    return first_id_of(window.from_second), first_id_of(window.to_second + 1)
