"""Lists of an account's messages: each by a range of an index, so that no list costs more than a
page of it, or LOOK_COUNT rows, however many messages there are."""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.db.messages import STORED_COLUMNS, StoredMessage

LOOK_COUNT = 5_000
"""Rows that are gone through for one page, where a filter has no index of its own: some two
milliseconds."""
DRIFT = timedelta(minutes=2)
"""How far the time in a message's id, of the host that took it in, may be from `created_at`, which
is PostgreSQL's: their clocks differ, and a request may wait for its transaction."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST, _GREATEST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages to list; None does not filter. Newest first, below `before`."""

    status: str | None = None
    recipient: str | None = field(default=None, repr=False)
    reference: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    before: UUID | None = None

    @property
    def bounds(self) -> tuple[UUID, UUID]:
        """(the least id that can fit, the one above all that can)."""
        least, above = _LEAST, self.before or _GREATEST
        if self.created_from is not None:
            least = _id_at(self.created_from, -DRIFT)
        if self.created_until is not None:
            above = min(above, _id_at(self.created_until, DRIFT))
        return least, above


def _id_at(moment: datetime, drift: timedelta) -> UUID:
    """What parts the ids of earlier milliseconds from those of `moment` plus `drift` and later."""
    ms = (moment - _EPOCH + drift) // timedelta(milliseconds=1)
    return UUID(int=max(0, ms) << 80)


class Listed(NamedTuple):
    """A page of messages that fit, and below which id the next are, if there may be any. A page may
    have room left, and the next one still hold something."""

    messages: list[StoredMessage]
    next_before: UUID | None


_CONDITIONS = {
    "status": "status = ",
    "recipient": "recipient = ",
    "created_from": "created_at >= ",
    "created_until": "created_at < ",
}
"""What is tried on each row that is gone through."""


@cache
def statement(names: frozenset[str]) -> str:
    """The statement for filters of these names, planned once: $1 to $4 are the account, the bounds
    of ids and how many; then come the filters, by name.

    `last_looked_at` is the same in each row: the id of the last message that was looked at, if the
    page has room left and there may be more below it. Where nothing fits it stands in a row alone.
    """
    number = {name: f"${place}" for place, name in enumerate(sorted(names), 5)}
    by_reference = f"AND reference = {number['reference']}" if "reference" in names else ""
    tried = [f"{test}{number[name]}" for name, test in _CONDITIONS.items() if name in names]
    looked = f"""
        FROM messages
        WHERE account_id = $1 AND message_id >= $2 AND message_id < $3 {by_reference}
        ORDER BY message_id DESC"""
    if not tried:
        return f"SELECT NULL::uuid AS last_looked_at, {STORED_COLUMNS} {looked} LIMIT $4"
    # The last one is asked for apart: to count along would take as long as all else, three times.
    return f"""
        WITH found AS MATERIALIZED (
            SELECT * FROM (
                SELECT {STORED_COLUMNS}, ({" AND ".join(tried)}) AS fits {looked} LIMIT {LOOK_COUNT}
            ) looked WHERE fits LIMIT $4
        )
        SELECT last.message_id AS last_looked_at, found.*
        FROM (SELECT CASE WHEN (SELECT count(*) FROM found) < $4 THEN (
                  SELECT message_id {looked} OFFSET {LOOK_COUNT - 1} LIMIT 1
              ) END AS message_id) last
        LEFT JOIN found ON true
        ORDER BY found.message_id DESC"""


async def page(connection: Connection, account_id: int, wanted: Filter, limit: int) -> Listed:
    """The account's messages that fit, newest first, at most `limit`."""
    given: Mapping[str, object] = {
        name: value
        for name in ("reference", *_CONDITIONS)
        if (value := getattr(wanted, name)) is not None
    }
    # One more than wanted tells whether there is another page.
    rows = await connection.fetch(
        statement(frozenset(given)),
        account_id,
        *wanted.bounds,
        limit + 1,
        *(given[name] for name in sorted(given)),
    )
    width = len(StoredMessage.__slots__)
    found = [StoredMessage(*list(row)[1 : width + 1]) for row in rows if row["message_id"]]
    if len(found) > limit:
        return Listed(found[:limit], found[limit - 1].message_id)
    return Listed(found, rows[0]["last_looked_at"] if rows else None)
