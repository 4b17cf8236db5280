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

from shared.db.connection import Connection
from shared.rules import event_types


# The head's row lock is held until commit, so numbers become visible in order. To know how many
# there are, all that changed must be known: so heads are locked after whatever changes messages, in
# the order of accounts, whichever of the two is gone through.
# What is to be written goes through them, for to be joined later it would have to be sorted again.
def _appending(order: str) -> str:
    return f"""
fresh AS MATERIALIZED (
    SELECT account_id, count(*) AS event_count, array_agg(message_id) AS message_ids,
           array_agg(status) AS statuses, array_agg(reason) AS reasons, array_agg(reference) AS refs
    FROM (SELECT * FROM changed ORDER BY account_id, {order}) c
    GROUP BY account_id ORDER BY account_id
), bumped AS (
    UPDATE event_heads h SET last_sequence = h.last_sequence + f.event_count
    FROM fresh f WHERE h.account_id = f.account_id
    RETURNING h.last_sequence, f.*
), event AS (
    INSERT INTO events (account_id, sequence, message_id, status, reason, reference)
    SELECT b.account_id, b.last_sequence - b.event_count + e.place,
           e.message_id, e.status, e.reason, e.reference
    FROM bumped b
    CROSS JOIN LATERAL unnest(b.message_ids, b.statuses, b.reasons, b.refs) WITH ORDINALITY
        AS e (message_id, status, reason, reference, place)
    WHERE (SELECT old_readers FROM platform)
), event_page AS (
    INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs)
    SELECT account_id, last_sequence, message_ids, statuses, reasons, refs FROM bumped
    WHERE NOT (SELECT old_readers FROM platform)
)"""  # noqa: S608 - a column of our own


APPEND_CHANGED = _appending("message_id")
"""Parts of the one statement that changes messages, in which `changed` is what they have become: an
event for each. They make one page an account; or rows of `events`, while old processes may read
them. A page holds no more than the statement was told of: callers come with at most a batch of
receipts (`services.dlr.intake`), of answers (`services.dispatcher.record`), or a sweep's page."""


class NewEvent(NamedTuple):
    """Something that has happened to `subject_id`, which is no message. `reference` is the
    producer's, where it gave one."""

    account_id: int
    type: str
    subject_id: UUID
    reason: str = ""
    reference: str | None = None


# A process of 0.1.0 shows the type where it shows a status, and an id that is no message's, for as
# long as the roll-out lasts. Numbers have no gaps, and an account's rows come before its pages, so
# the choice is that or no event at all; and a word that a producer does not know does less harm
# than one it never hears.
_APPEND = f"""
WITH changed AS (
    SELECT * FROM unnest($1::integer[], $2::text[], $3::uuid[], $4::text[], $5::text[])
        WITH ORDINALITY AS n (account_id, status, message_id, reason, reference, place)
), {_appending("place")}
SELECT FROM bumped"""  # noqa: S608 - the constant above


async def append(connection: Connection, new: Sequence[NewEvent]) -> None:
    """Append to the logs of these accounts, in the order given, in the caller's transaction, which
    must not be long: from here to its end nobody else writes to these logs. Of all that it locks,
    wallets alone may be locked later (see `shared.db`). At most some hundreds at a time, for an
    account's are one page."""
    if new:
        columns = [list(column) for column in zip(*new, strict=True)]
        await connection.execute(_APPEND, *columns)


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
           e.message_id, e.status, e.reason, e.reference, p.created_at
    FROM event_pages p
    CROSS JOIN LATERAL unnest(p.message_ids, p.statuses, p.reasons, p.refs) WITH ORDINALITY
        AS e (message_id, status, reason, reference, place)
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
           p.refs[p.place], p.created_at
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


async def after(
    connection: Connection, account_id: int, sequence: int, limit: int
) -> list[StoredEvent]:
    """The account's events numbered above `sequence`, oldest first, at most `limit`."""
    return [*map(_read, await connection.fetch(_AFTER, account_id, sequence, limit))]
