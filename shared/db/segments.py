"""The one road by which segments move, and the table of moves its only map (law 4).

`settle` locks, asks `states.move` and writes what it says. A claim asks the same table in its own
statement, by `SUBMIT`: it may take a thousand messages, and owns them by their rows of work.
"""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import events, ledger, words
from shared.db.connection import Connection, Transaction
from shared.ledger import refunds
from shared.sms import states
from shared.sms.states import SegmentState


class Evidence(NamedTuple):
    """Something became known about a segment.

    `accepted`: it proves that a carrier took the segment. `carrier_message_id` is kept when given.
    `code` is the carrier's word for people, `reason` what the producer may read.
    `submitted_at` names the submit it is about: if the segment has been submitted again since, only
    a proof of acceptance still counts. So an answer may be recorded twice, or by a worker that was
    taken for dead, and undoes nothing.
    """

    message_id: UUID
    part: int
    state: SegmentState
    accepted: bool = False
    carrier_message_id: str | None = None
    code: str = ""
    reason: str = ""
    submitted_at: datetime | None = None


class Move(NamedTuple):
    """What a segment has become; a row of the type `segment_move`."""

    message_id: UUID
    part: int
    state: SegmentState
    code: str
    reason: str
    carrier_message_id: str | None
    accepted: bool
    final: bool


_STATES = {state.value: state for state in SegmentState}


@dataclass(slots=True)
class _Standing:
    """A segment as it stands while evidence is applied to it."""

    state: SegmentState
    accepted: bool
    reason: str
    submitted_at: datetime | None
    code: str = ""
    carrier_message_id: str | None = None
    changed: bool = False


_LOCK = """
SELECT m.message_id, s.part, s.state, s.accepted_at IS NOT NULL AS accepted, s.reason,
       s.submitted_at, m.account_id, m.status, m.reference
FROM messages m JOIN segments s USING (message_id)
WHERE m.message_id = ANY ($1::uuid[])
ORDER BY m.message_id, s.part
FOR UPDATE OF m, s"""

_WRITE = """
WITH moved AS (
    UPDATE segments s
    SET state = t.state, code = coalesce(nullif(t.code, ''), s.code), reason = t.reason,
        -- What was proved unsent was no attempt.
        attempt_count = s.attempt_count - (s.state = 'submitting' AND t.state = 'queued')::int,
        carrier_message_id = coalesce(t.carrier_message_id, s.carrier_message_id),
        -- Whose id nobody knows is found by its phone (see `matching`).
        recipient = CASE
            WHEN coalesce(t.carrier_message_id, s.carrier_message_id) IS NULL
                 AND t.state IN ('in_doubt', 'submitted') THEN (
                SELECT recipient FROM messages m WHERE m.message_id = s.message_id)
            ELSE s.recipient END,
        accepted_at = CASE WHEN t.accepted THEN coalesce(s.accepted_at, clock_timestamp())
                      ELSE s.accepted_at END,
        finished_at = CASE WHEN t.final THEN coalesce(s.finished_at, now()) END
    FROM unnest($1::segment_move[]) t
    WHERE s.message_id = t.message_id AND s.part = t.part
)
UPDATE messages m SET status = t.status, reason = t.reason, updated_at = now()
FROM unnest($2::new_event[]) t WHERE m.message_id = t.message_id"""


class Submit(NamedTuple):
    """One submit of a segment: what a sweep has found, to be tied to its evidence."""

    message_id: UUID
    part: int
    submitted_at: datetime


async def settle(connection: Connection, evidence: Sequence[Evidence]) -> int:
    """Apply evidence within a transaction of the caller: segments, statuses, refunds, events.

    Evidence about the same segment is applied in the order given; what the table of moves does not
    allow changes nothing, so repetition is harmless. Returns how many messages changed status.
    Locks in the order that `shared.db` tells, from messages on.
    """
    changed_count, _ = await _settle(connection, evidence)
    return changed_count


async def settle_answers(
    connection: Connection, evidence: Sequence[Evidence]
) -> set[tuple[UUID, int]]:
    """As `settle`; returns the (message, part) whose state changed, each by this call alone."""
    _, moved = await _settle(connection, evidence)
    return moved


async def _settle(
    connection: Connection, evidence: Sequence[Evidence]
) -> tuple[int, set[tuple[UUID, int]]]:
    if not evidence:
        return 0, set()
    rows = await connection.fetch(_LOCK, sorted({item.message_id for item in evidence}))
    standing: dict[UUID, dict[int, _Standing]] = defaultdict(dict)
    for row in rows:
        standing[row["message_id"]][row["part"]] = _Standing(
            _STATES[row["state"]], row["accepted"], row["reason"], row["submitted_at"]
        )
    moved: set[tuple[UUID, int]] = set()
    for item in evidence:
        segment = standing[item.message_id].get(item.part)
        if segment is not None and _apply(segment, item):
            moved.add((item.message_id, item.part))
    changed = _status_changes(rows, standing)
    await ledger.refund(connection, _refunds_due(standing, moved))
    if moves := _moves(standing):
        await connection.execute(_WRITE, moves, changed)
    await events.append(connection, changed)
    return len(changed), moved


async def settle_all(
    connection: Connection, submits: Sequence[Submit], state: SegmentState, reason: str = ""
) -> int:
    """`settle` the same of each of these submits, unless it has been made again meanwhile."""
    return await settle(
        connection,
        [
            Evidence(message_id, part, state, reason=reason, submitted_at=submitted_at)
            for message_id, part, submitted_at in submits
        ],
    )


_WAITING = words.listed(states.WAITING)

_WAITING_PARTS = f"""
SELECT message_id, part FROM segments
WHERE message_id = ANY ($1::uuid[]) AND state IN ({_WAITING})"""


async def settle_waiting(
    connection: Connection, message_ids: Sequence[UUID], state: SegmentState, reason: str = ""
) -> int:
    """`settle` the same of every waiting segment of these messages, whose rows of work the caller
    has locked or deleted: so nobody else moves them meanwhile."""
    if not message_ids:
        return 0
    rows = await connection.fetch(_WAITING_PARTS, message_ids)
    return await settle(
        connection, [Evidence(row["message_id"], row["part"], state, reason=reason) for row in rows]
    )


SUBMIT = f"""
UPDATE segments s
SET state = '{SegmentState.SUBMITTING}', worker_id = $2, submitted_at = now(),
    attempt_count = attempt_count + 1
FROM claimed c
WHERE s.message_id = c.message_id AND s.state IN ({_WAITING}) AND c.expires_at > now()
RETURNING s.message_id, s.part"""
"""The move into `submitting`, as a part of the statement that has deleted the rows of work named
`claimed`; $2 is the worker. Every state the table lets go there goes there, no other."""


def _apply(segment: _Standing, item: Evidence) -> bool:
    """Let one piece of evidence act on a segment; whether its state changed."""
    outdated = item.submitted_at is not None and item.submitted_at != segment.submitted_at
    if outdated and not item.accepted:
        return False
    before = segment.state
    segment.state = states.move(before, item.state)
    moved = segment.state is not before
    if item.accepted and not segment.accepted:
        segment.accepted = segment.changed = True
    if item.carrier_message_id is not None:
        segment.carrier_message_id = item.carrier_message_id
        segment.changed = True
    if moved:
        segment.changed = True
        segment.code = item.code
        segment.reason = item.reason
    return moved


def _moves(standing: dict[UUID, dict[int, _Standing]]) -> list[Move]:
    """What changed."""
    return [
        Move(
            message_id,
            part,
            segment.state,
            segment.code,
            segment.reason,
            segment.carrier_message_id,
            segment.accepted,
            segment.state in states.FINAL,
        )
        for message_id, parts in standing.items()
        for part, segment in parts.items()
        if segment.changed
    ]


def _refunds_due(
    standing: dict[UUID, dict[int, _Standing]], moved: set[tuple[UUID, int]]
) -> list[tuple[UUID, int, str]]:
    """(message, part, reason) of the moved segments that ended and that no carrier ever had."""
    return [
        (message_id, part, segment.state.value)
        for message_id, part in sorted(moved)
        if refunds.is_due((segment := standing[message_id][part]).state, segment.accepted)
    ]


def _status_changes(
    rows: Sequence[asyncpg.Record],
    standing: dict[UUID, dict[int, _Standing]],
) -> list[events.Event]:
    """An event for each message whose roll-up differs from its stored status."""
    changed: list[events.Event] = []
    seen: set[UUID] = set()
    for row in rows:
        message_id = row["message_id"]
        if message_id in seen:
            continue
        seen.add(message_id)
        status = states.status_of(segment.state for segment in standing[message_id].values())
        if status != row["status"]:
            changed.append(
                events.Event(
                    row["account_id"],
                    message_id,
                    status,
                    _reason(standing[message_id], status),
                    row["reference"],
                )
            )
    return changed


def _reason(parts: dict[int, _Standing], status: states.MessageStatus) -> str:
    """The message's reason: that of the first part which has come to the message's status."""
    return next(
        (parts[part].reason for part in sorted(parts) if parts[part].state.value == status.value),
        "",
    )


_OVERDUE = """
SELECT message_id, part, submitted_at FROM segments
WHERE state IN ('submitted', 'in_doubt') AND submitted_at < now() - (SELECT receipt_deadline())
ORDER BY submitted_at LIMIT $1"""


async def overdue(connection: Connection, limit: int) -> list[Submit]:
    """Submits whose receipt has not come within the deadline that `platform` holds."""
    return _submits(await connection.fetch(_OVERDUE, limit))


def _submits(rows: Sequence[asyncpg.Record]) -> list[Submit]:
    return [Submit(*row) for row in rows]


_ABANDONED = """
SELECT s.message_id, s.part, s.submitted_at FROM segments s
WHERE s.state = 'submitting'
  AND NOT EXISTS (
      SELECT FROM workers w WHERE w.worker_id = s.worker_id
      AND w.seen_at > now() - $1 * interval '1 second')
  AND pg_postmaster_start_time() < now() - $1 * interval '1 second'
ORDER BY s.message_id, s.part LIMIT $2"""


async def abandoned(connection: Connection, silence_seconds: float, limit: int) -> list[Submit]:
    """Submits whose worker has not been heard of. After a restart of PostgreSQL everybody gets the
    same time again, for nobody could be heard while it was away."""
    return _submits(await connection.fetch(_ABANDONED, silence_seconds, limit))


_CLAIMED_IN = """
SELECT message_id, part, submitted_at FROM segments
WHERE worker_id = $1 AND state = 'submitting' AND xmin = $2::text::xid8::xid AND submitted_at = $3
ORDER BY message_id, part"""


async def claimed_in(
    connection: Connection, worker_id: UUID, transaction: Transaction
) -> list[Submit]:
    """What a worker claimed in this transaction and nobody has touched since."""
    return _submits(await connection.fetch(_CLAIMED_IN, worker_id, *transaction))


_DOUBTFUL = """
SELECT s.message_id, s.part, s.submitted_at FROM segments s JOIN messages m USING (message_id)
WHERE s.state = 'in_doubt' AND s.submitted_at < now() - $1 * interval '1 second'
  AND m.at_least_once AND s.attempt_count < $2 AND m.expires_at > now()
  AND s.submitted_at > now() - (SELECT receipt_deadline())
ORDER BY s.submitted_at LIMIT $3"""


async def doubtful_at_least_once(
    connection: Connection, older_seconds: float, attempt_count_max: int, limit: int
) -> list[Submit]:
    """Submits in doubt for so long that their producers want them made again."""
    return _submits(await connection.fetch(_DOUBTFUL, older_seconds, attempt_count_max, limit))
