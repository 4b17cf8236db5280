"""The one road by which segments move, and the table of moves its only map (law 4).

A segment has no row until there is a word of it: the end of its submit, parking, or an end without
a submit. Until then its message says where it stands, and a row of `submits` that it is
`submitting`; the view `parts` puts the three together. One statement moves any number of segments,
by `states.MOVES` and the roll-up of `states`, put into it as words.
"""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import events, ledger, words
from shared.db.connection import Connection
from shared.db.submits import Submit
from shared.ledger import refunds
from shared.sms import states
from shared.sms.states import SegmentState


class Evidence(NamedTuple):
    """Something became known about a segment; a row of the type `segment_evidence`.

    `accepted`: it proves that a carrier took the segment. `carrier_message_id` is kept when given.
    `code` is the carrier's word for people, `reason` what the producer may read.
    `submitted_at` names the submit it is about: if the segment has been submitted again since, only
    a proof of acceptance still counts. So an answer may be recorded twice, or by a worker that was
    taken for dead, and undoes nothing. `alone`: it is known to be its message's only segment.
    """

    message_id: UUID
    part: int
    state: SegmentState
    accepted: bool = False
    carrier_message_id: str | None = None
    code: str = ""
    reason: str = ""
    submitted_at: datetime | None = None
    alone: bool = False


class Unsent(NamedTuple):
    """A segment that has come to an end, or back to the queue, without having been taken.
    `by_this`: the call that tells of it has ended its submit, and no other."""

    message_id: UUID
    part: int
    state: str
    by_this: bool


class Settled(NamedTuple):
    """What evidence has changed."""

    changed_count: int
    """Messages whose status changed."""
    unsent: Sequence[Unsent]


_WAITING = words.listed(states.WAITING)
_FINAL = words.listed(states.FINAL)
_TO_REFUND = words.listed(refunds.ENDED_UNSENT)
_MOVES = words.array(f"{start} {end}" for start, ends in states.MOVES.items() for end in ends)
_ROLL_UP = ", ".join(f"'{state}'" for state in states.ROLL_UP)

IS_WAITING = f"state IN ({_WAITING})"
"""Of a row of `parts`: it may be submitted, and nobody is at it."""

# Several at once only for messages of several parts, whose status nobody may work out from parts
# that are just being moved.
_LOCK = """
SELECT FROM messages WHERE message_id = ANY ($1::uuid[]) AND segment_count > 1
ORDER BY message_id FOR UPDATE"""

_IS_FINISHED = f"t.state IN ({_FINAL})"
# Whose id nobody knows is found by its phone (see `matching`).
_IS_NAMELESS = "t.state IN ('in_doubt', 'submitted') AND coalesce(t.carrier_message_id, {}) IS NULL"


def _may_move(stands: str, is_waiting: str) -> str:
    """Whether the table of moves lets a segment go that `stands` there; waiting, it may have been
    under way until just now."""
    return f"""
    (CASE WHEN t.landed_at IS NOT NULL AND {is_waiting} THEN 'submitting'
     ELSE {stands} END || ' ' || t.state) = ANY ({_MOVES})"""


_MAY_MOVE = _may_move("s.state", f"s.state IN ({_WAITING})")
_MAY_BEGIN = _may_move("CASE m.status WHEN 'scheduled' THEN 'scheduled' ELSE 'queued' END", "true")

# In the order of the locks that `shared.db` tells: each part needs all of the one before. What an
# UPDATE reads is materialized: where it meets a row that was changed since the statement began, it
# looks once more, and what is read in any other way would then be empty. The first word of a
# segment comes from whoever ends its submit or holds its row of work: all others find its row.
# A submit is looked up by a limited subquery, which is one look at an index whatever is believed of
# the table: where it is believed to be empty, a join would go through all of it for each segment.
_WRITTEN = f"""
WITH said AS (
    SELECT t.*, u.place, u.place IS NOT NULL
           AND (t.accepted OR t.submitted_at IS NULL OR t.submitted_at = u.begun_at) AS may_land
    FROM unnest($1::segment_evidence[]) t LEFT JOIN LATERAL (
        SELECT ctid AS place, submitted_at AS begun_at FROM submits u
        WHERE u.message_id = t.message_id AND u.part = t.part LIMIT 1
    ) u ON true ORDER BY message_id, part
), landed AS (
    DELETE FROM submits WHERE ctid = ANY (ARRAY(SELECT place FROM said WHERE may_land))
    RETURNING message_id, part, submitted_at
), heard AS (
    SELECT t.*, l.submitted_at AS landed_at,
           l.part IS NOT NULL OR (t.submitted_at IS NULL AND NOT t.accepted) AS may_be_first
    FROM said t FULL JOIN landed l ON l.message_id = t.message_id AND l.part = t.part
), evidence AS MATERIALIZED (
    SELECT t.*, t.may_be_first AND s.part IS NULL AS is_first
    FROM heard t LEFT JOIN segments s
      ON s.message_id = CASE WHEN t.may_be_first THEN t.message_id END AND s.part = t.part
    ORDER BY t.message_id, t.part
), begun AS (
    INSERT INTO segments (message_id, part, state, attempt_count, carrier_id, submitted_at,
        accepted_at, finished_at, carrier_message_id, code, reason, recipient)
    SELECT t.message_id, t.part, t.state, (t.landed_at IS NOT NULL AND t.state <> 'queued')::int,
           m.carrier_id, t.landed_at, CASE WHEN t.accepted THEN clock_timestamp() END,
           CASE WHEN {_IS_FINISHED} THEN now() END, t.carrier_message_id, t.code, t.reason,
           CASE WHEN {_IS_NAMELESS.format("NULL")} THEN m.recipient END
    FROM evidence t JOIN messages m USING (message_id)
    WHERE t.is_first AND {_MAY_BEGIN}
    RETURNING message_id, part, state, reason, code, accepted_at IS NULL AS unaccepted,
              submitted_at IS NOT NULL AS by_this
), written AS (
    UPDATE segments s
    SET state = CASE WHEN {_MAY_MOVE} THEN t.state ELSE s.state END,
        code = CASE WHEN t.code <> '' AND {_MAY_MOVE} THEN t.code ELSE s.code END,
        reason = CASE WHEN t.reason <> s.reason AND {_MAY_MOVE} THEN t.reason ELSE s.reason END,
        submitted_at = coalesce(t.landed_at, s.submitted_at),
        -- What was proved unsent was no attempt. The release before counted it when it began.
        attempt_count = s.attempt_count + (t.landed_at IS NOT NULL AND t.state <> 'queued')::int
                        - (s.state = 'submitting')::int,
        carrier_message_id = coalesce(t.carrier_message_id, s.carrier_message_id),
        recipient = CASE WHEN {_IS_NAMELESS.format("s.carrier_message_id")}
            THEN (SELECT recipient FROM messages m WHERE m.message_id = s.message_id)
            ELSE s.recipient END,
        accepted_at = CASE WHEN t.accepted THEN coalesce(s.accepted_at, clock_timestamp())
                      ELSE s.accepted_at END,
        finished_at = CASE WHEN {_IS_FINISHED} AND s.finished_at IS NULL AND {_MAY_MOVE}
                      THEN now() ELSE s.finished_at END
    FROM evidence t
    WHERE NOT t.is_first AND s.message_id = t.message_id AND s.part = t.part
      AND (t.landed_at IS NOT NULL OR t.accepted OR t.submitted_at IS NULL
           OR (t.submitted_at = s.submitted_at AND t.place IS NULL))
      AND (t.carrier_message_id IS NOT NULL OR (t.accepted AND s.accepted_at IS NULL)
           OR {_MAY_MOVE})
    RETURNING s.message_id, s.part, s.state, s.reason, s.code, s.accepted_at IS NULL AS unaccepted,
              t.landed_at IS NOT NULL AS by_this, t.alone
), moved AS MATERIALIZED (
    SELECT message_id, part, state, reason, code, unaccepted, by_this, {{alone}} AS alone FROM begun
    UNION ALL
    SELECT message_id, part, state, reason, code, unaccepted, by_this, alone FROM written
)"""

# Of messages of several parts: what the other parts have come to decides, too.
_ROLLED_UP = f""", part AS (
    SELECT DISTINCT ON (message_id, part) message_id, part, state, reason, code FROM (
        SELECT message_id, part, state, reason, code, 0 AS age FROM moved WHERE NOT alone
        UNION ALL
        SELECT several.message_id, p.part, p.state, p.reason, p.code, 1
        FROM (SELECT DISTINCT message_id FROM moved WHERE NOT alone) several CROSS JOIN LATERAL (
            SELECT * FROM parts WHERE message_id = several.message_id OFFSET 0) p
    ) p ORDER BY message_id, part, age
), status AS MATERIALIZED (
    SELECT message_id, state, reason, code FROM moved WHERE alone
    UNION ALL (
        SELECT DISTINCT ON (message_id) message_id,
               CASE state WHEN 'submitting' THEN 'queued' ELSE state END,
               CASE state WHEN 'submitting' THEN '' ELSE reason END,
               CASE state WHEN 'submitting' THEN '' ELSE code END
        FROM part ORDER BY message_id, array_position(ARRAY[{_ROLL_UP}], state), part
    )
)"""


def _statement(alone: bool, of_several: str, status: str) -> str:
    """The one statement, with `status` to be read from that part of it; `alone`: each message is
    known to be of one part."""
    return f"""{_WRITTEN.format(alone=alone)}{of_several}, changed AS (
    UPDATE messages m SET status = t.state, reason = t.reason, code = t.code, updated_at = now()
    FROM {status} t WHERE m.message_id = t.message_id AND m.status <> t.state
    RETURNING m.account_id, m.message_id, m.status, m.reason, m.reference
), {events.APPEND_CHANGED}
SELECT done.changed_count, done.overtaken, unsent.*
FROM (
    SELECT (SELECT count(*) FROM changed) AS changed_count,
           EXISTS (SELECT FROM evidence WHERE may_land AND landed_at IS NULL) AS overtaken
) done LEFT JOIN (
    SELECT message_id, part, state, by_this FROM moved
    WHERE unaccepted AND (state = 'queued' OR state IN ({_TO_REFUND}))
) unsent ON true"""


_SETTLE = _statement(False, _ROLLED_UP, "status")
_SETTLE_ALONE = _statement(True, "", "moved")
"""For messages of one part, whose status is that part's: half as much to begin with."""


async def settle(connection: Connection, evidence: Sequence[Evidence]) -> int:
    """Apply evidence within a transaction of the caller: segments, statuses, events, refunds.

    Evidence about the same segment is applied in the order given; what the table of moves does not
    allow changes nothing, so repetition is harmless. Returns how many messages changed status.
    Locks in the order that `shared.db` tells, from messages on. Of segments that are alone and
    that a carrier has accepted it is one statement, which needs no transaction around it.
    """
    return (await settle_answers(connection, evidence)).changed_count


async def settle_answers(connection: Connection, evidence: Sequence[Evidence]) -> Settled:
    """As `settle`; tells what has ended unsent as well."""
    several = [each.message_id for each in evidence if not each.alone]
    if several:
        await connection.execute(_LOCK, several)
    changed_count = 0
    unsent: list[Unsent] = []
    for distinct in _rounds(evidence):
        overtaken = True
        # Whoever has ended a submit since this statement began had not committed when it looked.
        while overtaken:
            rows = await connection.fetch(_SETTLE if several else _SETTLE_ALONE, distinct)
            changed_count += rows[0]["changed_count"]
            overtaken = rows[0]["overtaken"]
            unsent += [Unsent(*each) for _, _, *each in rows if each[0] is not None]
    await ledger.refund(
        connection, [each[:3] for each in unsent if each.state in refunds.ENDED_UNSENT]
    )
    return Settled(changed_count, unsent)


def _rounds(evidence: Sequence[Evidence]) -> Iterator[Sequence[Evidence]]:
    """The evidence, in rounds that speak of each segment once, in the order given."""
    left = evidence
    while left:
        firsts = {(each.message_id, each.part): each for each in reversed(left)}
        if len(firsts) == len(left):
            yield left
            return
        yield list(firsts.values())
        left = [each for each in left if firsts[each.message_id, each.part] is not each]


async def settle_all(
    connection: Connection, found: Sequence[Submit], state: SegmentState, reason: str = ""
) -> Settled:
    """`settle_answers` the same of each of these submits, unless it has been made again
    meanwhile."""
    return await settle_answers(
        connection,
        [
            Evidence(message_id, part, state, reason=reason, submitted_at=submitted_at)
            for message_id, part, submitted_at in found
        ],
    )


_WAITING_PARTS = f"""
SELECT asked.message_id, p.part FROM unnest($1::uuid[]) AS asked (message_id) CROSS JOIN LATERAL (
    SELECT part FROM parts WHERE message_id = asked.message_id AND {IS_WAITING} ORDER BY part) p"""


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


_SWEEP = "SELECT done_until FROM sweeps WHERE name = 'overdue' FOR UPDATE SKIP LOCKED"

# Nothing that is still to be recorded may be passed.
_HORIZON = """
SELECT least(now() - receipt_deadline(), (SELECT min(submitted_at) FROM submits))"""

_OVERDUE = """
SELECT message_id, part, submitted_at FROM segments
WHERE submitted_at >= $1 AND submitted_at < $2 AND state IN ('submitted', 'in_doubt')
ORDER BY submitted_at LIMIT $3"""

_DONE = "UPDATE sweeps SET done_until = $1 WHERE name = 'overdue' AND done_until < $1"


async def take_overdue(connection: Connection, limit: int) -> list[Submit]:
    """Submits whose receipt has not come within the deadline that `platform` holds, to be ended in
    this transaction; one sweeper at a time. Each segment is looked at once in its life, when its
    time has come."""
    done_until = await connection.fetchval(_SWEEP)
    if done_until is None:
        return []
    horizon = await connection.fetchval(_HORIZON)
    found = [Submit(*row) for row in await connection.fetch(_OVERDUE, done_until, horizon, limit)]
    if len(found) == limit:
        # Others may have been submitted at the same moment as the last of the page.
        horizon = found[-1].submitted_at
    await connection.execute(_DONE, horizon)
    return found


_DOUBTFUL = """
SELECT s.message_id, s.part, s.submitted_at FROM segments s JOIN messages m USING (message_id)
WHERE s.recipient > '' AND s.submitted_at < now() - $1 * interval '1 second'
  AND s.submitted_at > now() - (SELECT receipt_deadline())
  AND s.state = 'in_doubt' AND m.expires_at > now()
  AND s.attempt_count < CASE WHEN s.carrier_id = ANY ($4::int[]) THEN $5::int
                             WHEN m.at_least_once THEN $2::int ELSE 0 END
ORDER BY s.submitted_at LIMIT $3"""


class Repeating(NamedTuple):
    """How often a segment may be submitted whose answers are lost: where its producer asks for
    at_least_once, and by carriers that take it once, however often that is."""

    attempt_count_max: int
    idempotent_carrier_ids: Sequence[int]
    idempotent_attempt_count_max: int


async def doubtful(
    connection: Connection, older_seconds: float, repeating: Repeating, limit: int
) -> list[Submit]:
    """Submits in doubt for so long that they are to be made again."""
    attempt_count_max, *idempotent = repeating
    rows = await connection.fetch(_DOUBTFUL, older_seconds, attempt_count_max, limit, *idempotent)
    return [Submit(*row) for row in rows]
