"""The append-only log of what happened, numbered without gaps per account.

An event's word is a message's new status; or, with a point in it, the type of what happened to
something else, whose id then stands where a message's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection
from shared.rules import event_types

APPEND_CHANGED = """
event AS (
    INSERT INTO event_notes (account_ids, message_ids, statuses, reasons, refs)
    SELECT array_agg(account_id), array_agg(message_id), array_agg(status), array_agg(reason),
           array_agg(reference)
    FROM changed HAVING count(*) > 0
)"""
"""Part of the one statement that changes messages, in which `changed` is what they have become: an
event for each, in one row for all. They have no numbers until `number`."""


class NewEvent(NamedTuple):
    """Something that has happened to `subject_id`, which is no message. `reference` is the
    producer's, where it gave one."""

    account_id: int
    type: str
    subject_id: UUID
    reason: str = ""
    reference: str | None = None


_APPEND = """
INSERT INTO event_notes (account_ids, statuses, message_ids, reasons, refs)
VALUES ($1, $2, $3, $4, $5)"""


async def append(connection: Connection, new: Sequence[NewEvent]) -> None:
    """Append to the logs of these accounts, in the order given, in the caller's transaction."""
    if new:
        columns = [list(column) for column in zip(*new, strict=True)]
        await connection.execute(_APPEND, *columns)


NUMBER_COUNT = 20_000
"""Events that are numbered at a time: a tenth of a second."""
NUMBER_CALL_COUNT = 25
"""So often at most for one who asks: of half a million that have no number yet, as where nobody has
asked and dlr was away, the rest is for the next."""
_NUMBER = "SELECT number_events($1)"


async def number(connection: Connection) -> None:
    """Number what was committed before this call: a page an account for what many statements have
    noted. Numbers have no gaps and become visible in their order, for one caller does it after the
    other, each waiting for the last one's commit. Costs a look where there is nothing."""
    for _ in range(NUMBER_CALL_COUNT):
        if await connection.fetchval(_NUMBER, NUMBER_COUNT) < NUMBER_COUNT:
            return


async def number_all(database: asyncpg.Pool) -> None:
    """Number all there is."""
    await cleaning.by_calls(database, _NUMBER, NUMBER_COUNT)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as a producer reads it. `subject_id` is what it happened to: which kind of thing
    that is, the family of its type says."""

    sequence: int
    subject_id: UUID
    type: str
    reason: str
    reference: str | None
    created_at: datetime

    @property
    def family(self) -> str:
        """What it is about: "message", "inbound", "opt_out", "webhook"."""
        return event_types.family_of(self.type)

    @property
    def status(self) -> str:
        """What a message's status became; "" where it is about something else."""
        family, _, word = self.type.partition(".")
        return word if family == event_types.MESSAGE else ""


def _read(row: asyncpg.Record) -> StoredEvent:
    sequence, subject_id, word, *rest = row
    kind = word if "." in word else f"{event_types.MESSAGE}.{word}"
    return StoredEvent(sequence, subject_id, kind, *rest)


# An account's rows come before its pages. Numbers have no gaps, so it is known from the first page
# up to which number is read, and by the index up to which page; only the retention makes it begin
# later than asked for.
_AFTER = """
WITH apart AS MATERIALIZED (
    SELECT sequence, message_id, status, reason, reference, created_at FROM events
    WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
), span AS MATERIALIZED (
    SELECT before, before + $3 - (SELECT count(*) FROM apart) AS until FROM (
        SELECT greatest($2, last_sequence - cardinality(message_ids)) AS before FROM event_pages
        WHERE account_id = $1 AND last_sequence > $2 ORDER BY last_sequence LIMIT 1
    ) first WHERE (SELECT count(*) FROM apart) < $3
)
SELECT * FROM apart
UNION ALL
SELECT paged.* FROM span CROSS JOIN LATERAL (
    SELECT p.last_sequence - cardinality(p.message_ids) + e.place AS sequence,
           e.message_id, e.status, e.reason, e.reference, coalesce(e.happened_at, p.created_at)
    FROM event_pages p
    CROSS JOIN LATERAL unnest(p.message_ids, p.statuses, p.reasons, p.refs, p.happened_at)
        WITH ORDINALITY AS e (message_id, status, reason, reference, happened_at, place)
    WHERE p.account_id = $1 AND p.last_sequence > span.before
      AND p.last_sequence <= coalesce((
          SELECT last.last_sequence FROM event_pages last
          WHERE last.account_id = $1 AND last.last_sequence >= span.until
          ORDER BY last.last_sequence LIMIT 1), span.until)
) paged WHERE paged.sequence > span.before AND paged.sequence <= span.until
ORDER BY sequence"""


# Each by one look at the page that holds its number.
_AT = """
SELECT found.* FROM unnest($2::bigint[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT sequence, message_id, status, reason, reference, created_at FROM events
    WHERE account_id = $1 AND sequence = wanted.number
    UNION ALL
    SELECT wanted.number, p.message_ids[p.place], p.statuses[p.place], p.reasons[p.place],
           p.refs[p.place], coalesce(p.happened_at[p.place], p.created_at)
    FROM (
        SELECT *, (wanted.number - last_sequence + cardinality(message_ids))::integer AS place
        FROM event_pages WHERE account_id = $1 AND last_sequence >= wanted.number
        ORDER BY last_sequence LIMIT 1
    ) p WHERE p.place >= 1
) found
ORDER BY sequence"""


async def at(
    connection: Connection, account_id: int, sequences: Sequence[int]
) -> list[StoredEvent]:
    """The account's events of these numbers, oldest first; those that the retention has taken away
    are missing."""
    return [*map(_read, await connection.fetch(_AT, account_id, sequences))]


async def numbered_after(
    connection: Connection, account_id: int, sequence: int, limit: int
) -> list[StoredEvent]:
    """The account's events numbered above `sequence`, oldest first, at most `limit`; without those
    that have no number yet."""
    return [*map(_read, await connection.fetch(_AFTER, account_id, sequence, limit))]


async def after(
    connection: Connection, account_id: int, sequence: int, limit: int
) -> list[StoredEvent]:
    """The same with all that has happened before this call; in no transaction of the caller's."""
    await number(connection)
    return await numbered_after(connection, account_id, sequence, limit)
