"""All that is stored of one message, for its trace: a few looks at indexes, on one snapshot.

What the tables say already is read from them. What they do not keep is in `trail`. What the
retention has taken is missing, and `StoredTrace` says since when that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.db import messages, receipts, trail
from shared.db.connection import Connection
from shared.db.receipts import KeptReceipt
from shared.db.trail import StoredMark
from shared.db.webhooks import TRIES_DAYS

MIGRATION_NUMBER = 19
"""From which on trails are written."""
TRY_PAGE_COUNT_MAX = 2_000
"""Rounds of a webhook that are looked through for an event, from its time on."""
SLACK_SECONDS = 10
"""How far the time of an event may be from its place in its account's log, and from the time that
its cause was given: as long as a transaction of a service may last."""


class MessageWay(NamedTuple):
    """What was chosen when the message was accepted, and how it stands."""

    account: str
    line_kind: str
    carrier: str
    adapter: str
    work_state: str | None
    """Its row of work's; None if it waits for nothing."""
    work_ready_at: datetime | None


class TracedPart(NamedTuple):
    """A segment. `submitted_at` is its last submit's."""

    part: int
    state: str
    code: str
    reason: str
    submitted_at: datetime | None
    accepted_at: datetime | None
    finished_at: datetime | None
    carrier_message_id: str | None


class TracedTransfer(NamedTuple):
    """A movement of money about one segment."""

    kind: str
    part: int
    amount_micro: int
    reason: str
    created_at: datetime


class TracedEvent(NamedTuple):
    """What the account's log says of the message; `status` is what it became."""

    sequence: int
    status: str
    reason: str
    created_at: datetime


class TracedTry(NamedTuple):
    """One request to a webhook about one of the events."""

    webhook_id: UUID
    sequence: int
    status: int
    outcome: str
    tried_at: datetime


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """Everything that is known of a message.

    `trail_since` is when trails began to be written. `tries_until` is up to when tries of webhooks
    were looked for, None where it was up to now; those older than TRIES_DAYS are gone.
    """

    message: messages.StoredMessage
    way: MessageWay
    parts: Sequence[TracedPart]
    transfers: Sequence[TracedTransfer]
    marks: Sequence[StoredMark]
    receipts: Sequence[KeptReceipt] = field(repr=False)
    events: Sequence[TracedEvent]
    tries: Sequence[TracedTry]
    read_at: datetime
    trail_since: datetime
    tries_until: datetime | None


_OWNER = "SELECT account_id FROM messages WHERE message_id = $1"

_WAY = """
SELECT a.name, l.kind, c.name, c.adapter, w.state, w.ready_at, now(),
       (SELECT applied_at FROM schema_migrations WHERE number = $2)
FROM messages m
LEFT JOIN accounts a ON a.account_id = m.account_id
LEFT JOIN lines l ON l.line_id = m.line_id
LEFT JOIN carriers c ON c.carrier_id = m.carrier_id
LEFT JOIN work w ON w.message_id = m.message_id
WHERE m.message_id = $1"""

# The view has no ids of carriers: a segment's row is looked up beside it.
_PARTS = """
SELECT p.part, p.state, p.code, p.reason, p.submitted_at, p.accepted_at, p.finished_at,
       (SELECT s.carrier_message_id FROM segments s
        WHERE s.message_id = p.message_id AND s.part = p.part)
FROM parts p WHERE p.message_id = $1 ORDER BY p.part"""

_TRANSFERS = """
SELECT kind, part, amount_micro, reason, created_at FROM transfers
WHERE message_id = $1 ORDER BY created_at, part"""


async def owner(connection: Connection, message_id: UUID) -> int | None:
    """The account that has a message; None where nobody has it, or no longer."""
    found: int | None = await connection.fetchval(_OWNER, message_id)
    return found


async def transfers(connection: Connection, message_id: UUID) -> list[TracedTransfer]:
    """What was debited and given back for a message, also when it is gone: money is kept."""
    return [TracedTransfer(*row) for row in await connection.fetch(_TRANSFERS, message_id)]


async def read(connection: Connection, account_id: int, message_id: UUID) -> StoredTrace | None:
    """All that is known of a message of this account, None of any other; in a transaction of one
    snapshot, or else what happens meanwhile may be told in part. Its events are those that have
    numbers (`events.number`)."""
    message = await messages.get(connection, account_id, message_id)
    if message is None:
        return None
    ((*way, read_at, trail_since),) = await connection.fetch(_WAY, message_id, MIGRATION_NUMBER)
    parts = [TracedPart(*row) for row in await connection.fetch(_PARTS, message_id)]
    marks = await trail.of_message(connection, message_id)
    kept = await receipts.of_message(connection, message_id)
    events = await _events(connection, account_id, message, parts, marks, kept)
    tries, tries_until = await _tries(connection, account_id, events)
    return StoredTrace(
        message,
        MessageWay(*way),
        parts,
        await transfers(connection, message_id),
        marks,
        kept,
        events,
        tries,
        read_at,
        trail_since,
        tries_until,
    )


# Events have no index by message. Each is written by what changed the message, whose time is known:
# its place in the account's log is found by halving, for numbers and times rise together but for
# SLACK_SECONDS; a page has the time of its last event. `exact` are times of transactions; from
# others on it may take a moment.
_EVENTS = f"""
WITH RECURSIVE edge AS (
    SELECT place, edge FROM unnest($3::timestamptz[], $4::timestamptz[])
        WITH ORDINALITY AS s (begins_at, ends_at, span),
    LATERAL (VALUES (2 * span, begins_at - interval '{SLACK_SECONDS} seconds'),
                    (2 * span + 1, ends_at + interval '{SLACK_SECONDS} seconds')) e (place, edge)
), halved AS (
    SELECT place, edge, 1::bigint AS low, h.last_sequence + 1 AS high
    FROM edge CROSS JOIN event_heads h WHERE h.account_id = $1
    UNION ALL
    SELECT h.place, h.edge,
           CASE WHEN seen.created_at < h.edge THEN seen.last_sequence + 1 ELSE h.low END,
           CASE WHEN seen.created_at < h.edge THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halved h CROSS JOIN LATERAL (
        SELECT created_at, last_sequence FROM (
            (SELECT created_at, sequence AS last_sequence FROM events
             WHERE account_id = $1 AND sequence >= (h.low + h.high) / 2 ORDER BY sequence LIMIT 1)
            UNION ALL
            (SELECT created_at, last_sequence FROM event_pages
             WHERE account_id = $1 AND last_sequence >= (h.low + h.high) / 2
             ORDER BY last_sequence LIMIT 1)
        ) both_kinds ORDER BY last_sequence LIMIT 1
    ) seen
    WHERE h.low < h.high
), span AS MATERIALIZED (
    SELECT min(high) AS low, max(high) AS high FROM (
        SELECT place, min(high) AS high FROM halved GROUP BY place
    ) edges GROUP BY place / 2
)
SELECT DISTINCT found.* FROM span CROSS JOIN LATERAL (
    SELECT sequence, status, reason, created_at FROM events
    WHERE account_id = $1 AND sequence BETWEEN span.low AND span.high AND message_id = $2
    UNION ALL
    SELECT p.last_sequence - cardinality(p.message_ids) + e.place, e.status, e.reason,
           coalesce(e.happened_at, p.created_at)
    FROM event_pages p
    CROSS JOIN LATERAL unnest(p.message_ids, p.statuses, p.reasons, p.happened_at) WITH ORDINALITY
        AS e (message_id, status, reason, happened_at, place)
    WHERE p.account_id = $1 AND p.last_sequence >= span.low
      AND p.last_sequence <= coalesce((
          SELECT last.last_sequence FROM event_pages last
          WHERE last.account_id = $1 AND last.last_sequence >= span.high
          ORDER BY last.last_sequence LIMIT 1), span.high)
      AND $2 = ANY (p.message_ids) AND e.message_id = $2
) found ORDER BY sequence"""  # noqa: S608 - a number of our own


async def _events(
    connection: Connection,
    account_id: int,
    message: messages.StoredMessage,
    parts: Sequence[TracedPart],
    marks: Sequence[StoredMark],
    kept: Sequence[KeptReceipt],
) -> list[TracedEvent]:
    spans = _spans(message, parts, marks, kept)
    rows = await connection.fetch(
        _EVENTS,
        account_id,
        message.message_id,
        [begin for begin, _ in spans],
        [end for _, end in spans],
    )
    return [TracedEvent(*row) for row in rows]


def _spans(
    message: messages.StoredMessage,
    parts: Sequence[TracedPart],
    marks: Sequence[StoredMark],
    kept: Sequence[KeptReceipt],
) -> list[tuple[datetime, datetime]]:
    """When the message's status may have changed: apart from each other, in order."""
    slack = timedelta(seconds=SLACK_SECONDS)
    moments = {mark.recorded_at for mark in marks} | {message.updated_at}
    moments |= {part.finished_at for part in parts if part.finished_at is not None}
    spans = [(moment, moment) for moment in moments]
    # By the clock, in a transaction that had begun before.
    spans += [(part.accepted_at - slack, part.accepted_at) for part in parts if part.accepted_at]
    # Read soon after it came.
    spans += [(each.received_at, each.received_at + slack) for each in kept]
    apart: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(spans):
        if apart and begin <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((begin, end))
    return apart


# Rounds are numbered in the order of time, but for what a transaction may last.
_TRIES = f"""
WITH first AS MATERIALIZED (
    SELECT page_id FROM webhook_tries
    WHERE recorded_at >= $3::timestamptz - interval '{SLACK_SECONDS} seconds'
    ORDER BY recorded_at LIMIT 1
)
SELECT w.webhook_id, each.sequence, each.status, each.outcome, each.tried_at, t.recorded_at,
       t.round_count
FROM webhooks w CROSS JOIN LATERAL (
    SELECT *, row_number() OVER (ORDER BY page_id) AS round_count FROM (
        SELECT * FROM webhook_tries r
        WHERE r.webhook_id = w.webhook_id AND r.page_id >= (SELECT page_id FROM first)
        ORDER BY page_id LIMIT {TRY_PAGE_COUNT_MAX}
    ) rounds
) t
LEFT JOIN LATERAL (
    SELECT * FROM unnest(t.sequences, t.statuses, t.outcomes, t.tried_at)
        AS e (sequence, status, outcome, tried_at) WHERE e.sequence = ANY ($2::bigint[])
) each ON true
WHERE w.account_id = $1 AND (each.sequence IS NOT NULL OR t.round_count = {TRY_PAGE_COUNT_MAX})
ORDER BY each.tried_at"""  # noqa: S608 - numbers of our own


async def _tries(
    connection: Connection, account_id: int, events: Sequence[TracedEvent]
) -> tuple[list[TracedTry], datetime | None]:
    """What webhooks were told of these events, and until when that was looked for."""
    if not events:
        return [], None
    sequences = [event.sequence for event in events]
    rows = await connection.fetch(_TRIES, account_id, sequences, events[0].created_at)
    tries = [TracedTry(*list(row)[:5]) for row in rows if row["sequence"] is not None]
    ends = [row["recorded_at"] for row in rows if row["round_count"] == TRY_PAGE_COUNT_MAX]
    return tries, min(ends, default=None)


def forgotten(stored: StoredTrace) -> list[str]:
    """What is not known any more, or never was, in sentences."""
    told = []
    if stored.message.created_at < stored.trail_since:
        told.append(
            "Waits and earlier submits from before"
            f" {stored.trail_since.isoformat(timespec='seconds')} were not written down."
        )
    if stored.read_at - stored.message.created_at > timedelta(days=TRIES_DAYS):
        told.append(f"What webhooks were told more than {TRIES_DAYS} days ago is gone.")
    if stored.tries_until is not None:
        told.append(
            "What webhooks were told after"
            f" {stored.tries_until.isoformat(timespec='seconds')} was not looked for."
        )
    return told
