"""How many messages, segments and how much money, by day, country, class and what became of them.

Triggers write what a statement changes into a row of `statistics_pages`, in that statement; sums
are in `statistics`. What is asked is read from both in one statement, so it is exact at any moment,
however far the adding up has come. What the retention takes away stays counted; whole days go after
three months (M51).
"""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import NamedTuple

import asyncpg

from shared.db import cleaning, pool, words
from shared.db.connection import Connection
from shared.sms.outcome_words import MessageOutcome, statuses_of

ROW_COUNT_MAX = 10_000
"""Rows that one answer may have."""
PAGE_COUNT = 2_000
"""Statements whose changes are added up in one transaction."""
FILL_COUNT = 1_000

GROUPS = ("day", "country", "class", "status", "reason", "code")
"""What sums may be told apart by, beside the currency, by which they always are."""


@dataclass(frozen=True, slots=True)
class StatisticsQuestion:
    """Which messages to count; None does not filter. Days are of UTC, the last one included."""

    first_day: date
    last_day: date
    statuses: Sequence[str] | None = None
    country: str | None = None
    message_class: int | None = None
    groups: tuple[str, ...] = ()
    """Of GROUPS, in their order."""

    @property
    def filters(self) -> frozenset[str]:
        """The names of those that are given."""
        return frozenset(name for name in _FILTERS if getattr(self, name) is not None)


_FILTERS = {
    "statuses": "status = ANY ({})",
    "country": "country = {}",
    "message_class": "class = {}",
}
"""What is tried on each row."""


class StatisticsRow(NamedTuple):
    """Sums of a group; what it is not told apart by is None. `cost_micro` is what was debited and
    not given back."""

    day: date | None
    country: str | None
    message_class: int | None
    status: str | None
    reason: str | None
    code: str | None
    currency: str
    message_count: int
    segment_count: int
    cost_micro: int
    delivered_count: int
    pending_count: int
    rejected_count: int

    def alone(self) -> StatisticsRow:
        """The same sums, told apart by nothing but the currency."""
        return StatisticsRow(None, None, None, None, None, None, *self[6:])

    def plus(self, other: StatisticsRow) -> StatisticsRow:
        """The sums of both."""
        return self._replace(
            message_count=self.message_count + other.message_count,
            segment_count=self.segment_count + other.segment_count,
            cost_micro=self.cost_micro + other.cost_micro,
            delivered_count=self.delivered_count + other.delivered_count,
            pending_count=self.pending_count + other.pending_count,
            rejected_count=self.rejected_count + other.rejected_count,
        )


_COUNTED = """(
    SELECT day, country, class, currency, status, reason, code, message_count, segment_count,
           cost_micro
    FROM statistics WHERE account_id = $1 AND day BETWEEN $2 AND $3
    UNION ALL
    SELECT e.day, e.country, e.class, e.currency, e.status, e.reason, e.code, e.message_count,
           e.segment_count, e.cost_micro
    FROM statistics_pages p CROSS JOIN LATERAL unnest(p.entries) e
    WHERE e.account_id = $1 AND e.day BETWEEN $2 AND $3
) counted"""

_OF_OUTCOME = ", ".join(
    f"coalesce(sum(message_count) FILTER (WHERE status IN ({words.listed(statuses_of(each))})), 0)"
    f"::bigint AS {each}_count"
    for each in MessageOutcome
)


@cache
def grouped(groups: tuple[str, ...], filters: frozenset[str]) -> str:
    """The statement for these groups and filters, planned once. Statuses are told apart first,
    whatever is asked for: so which outcome each is need not be looked up for every row."""
    tried = [_FILTERS[name].format(f"${place}") for place, name in enumerate(sorted(filters), 4)]
    shown = [group if group in groups else f"NULL::{_TYPES[group]} AS {group}" for group in GROUPS]
    by = ", ".join([*groups, "currency"])
    finer = by if "status" in groups else f"{by}, status"
    return f"""
SELECT {", ".join(shown)}, currency, sum(message_count)::bigint AS message_count,
       sum(segment_count)::bigint AS segment_count, sum(cost_micro)::bigint AS cost_micro,
       {_OF_OUTCOME}
FROM (
    SELECT {finer}, sum(message_count) AS message_count, sum(segment_count) AS segment_count,
           sum(cost_micro) AS cost_micro
    FROM {_COUNTED} WHERE {" AND ".join(tried) or "true"} GROUP BY {finer}
) of_status
GROUP BY {by} HAVING sum(message_count) <> 0 OR sum(cost_micro) <> 0
ORDER BY {by}"""


_TYPES = dict.fromkeys(GROUPS, "text") | {"day": "date", "class": "smallint"}


def arguments(account_id: int, asked: StatisticsQuestion) -> tuple[object, ...]:
    """What `grouped` takes."""
    given = (getattr(asked, name) for name in sorted(asked.filters))
    return (account_id, asked.first_day, asked.last_day, *given)


async def read(
    connection: Connection, account_id: int, asked: StatisticsQuestion
) -> list[StatisticsRow]:
    """The account's sums, a row a group, in the order of the groups; at most ROW_COUNT_MAX + 1, so
    that it is seen when there are more."""
    statement = f"{grouped(asked.groups, asked.filters)} LIMIT {ROW_COUNT_MAX + 1}"
    found = await connection.fetch(statement, *arguments(account_id, asked))
    return [StatisticsRow(*row) for row in found]


_COMPLETE = "SELECT NOT EXISTS (SELECT FROM statistics_filling)"


async def is_complete(connection: Connection) -> bool:
    """Whether what was stored before there were statistics is counted by now."""
    return bool(await connection.fetchval(_COMPLETE))


_BEGIN = "SELECT statistics_begin()"


async def begin(connection: Connection) -> date:
    """The first day that is counted."""
    found: date = await connection.fetchval(_BEGIN)
    return found


async def add_up(database: asyncpg.Pool, page_count: int = PAGE_COUNT) -> None:
    """Add what has happened to the sums, until little is left. Of several callers one does it."""
    await cleaning.by_calls(database, "SELECT add_up_statistics($1)", page_count)


async def fill(database: asyncpg.Pool, page_count: int = FILL_COUNT) -> None:
    """Count what was stored before there were statistics, as far as that may begin; in pages with
    pauses, so that a database that is full is not held up by it. Of several callers one does it."""
    may_be_more = True
    while may_be_more:
        began_at = time.monotonic()
        async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            may_be_more = await opened.fetchval("SELECT fill_statistics($1)", page_count)
        await asyncio.sleep((time.monotonic() - began_at) * cleaning.PAUSE_FACTOR)
