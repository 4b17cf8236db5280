"""What waits to be submitted: publishing, parking, releasing, claiming. Whoever deletes a row owns
its send (law 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import limits, opt_outs, segments
from shared.db.connection import Connection, Transaction
from shared.sms import states
from shared.sms.classes import CLASSES


class Waiting(NamedTuple):
    """A row of work, as the relay publishes it."""

    message_id: UUID
    account_id: int
    line_id: int
    carrier_id: int
    country: str
    message_class: int
    segment_count: int
    bypass_gate: bool
    expires_at: datetime


# Looked at one by one, each by its own range of an index, whatever waits for the others.
EVERY_LANE = f"carriers c CROSS JOIN generate_series(0, {len(CLASSES) - 1}) AS k (class)"

_LANES = f"""
SELECT c.carrier_id, k.class
FROM {EVERY_LANE}, LATERAL (
    SELECT FROM work w
    WHERE w.state = 'ready' AND w.carrier_id = c.carrier_id AND w.class = k.class
      AND w.ready_at <= now()
    ORDER BY w.ready_at LIMIT 1
) oldest
ORDER BY k.class, c.carrier_id"""  # noqa: S608 - the constant above


async def ready_lanes(connection: Connection) -> list[tuple[int, int]]:
    """(carrier, class) that have rows which nobody has published, the urgent first."""
    return [tuple(row) for row in await connection.fetch(_LANES)]


# An array is found once, whatever the plan. `IN (SELECT … LIMIT …)` may be found once for each row
# of the table: slowly, and more rows than the limit.
_TAKE_READY = """
UPDATE work SET ready_at = now() + interval '1 second' * $3::float8
WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM work
    WHERE state = 'ready' AND carrier_id = $1 AND class = $2 AND ready_at <= now()
    ORDER BY ready_at LIMIT $4 FOR UPDATE SKIP LOCKED))
RETURNING message_id, account_id, line_id, carrier_id, country, class, segment_count, bypass_gate,
          expires_at"""


async def take_ready(
    connection: Connection, carrier_id: int, message_class: int, lease_seconds: float, limit: int
) -> list[Waiting]:
    """Rows of a carrier and class that nobody has published, with the right to publish them for
    `lease_seconds`.

    The oldest, and of these the rows of one account and line together, each line's oldest first:
    who claims and records them touches a limit or a log once for many."""
    rows = await connection.fetch(_TAKE_READY, carrier_id, message_class, lease_seconds, limit)
    found = [Waiting(*row) for row in rows]
    found.sort(key=lambda row: (row.account_id, row.line_id, row.message_id))
    return found


_BACKLOG = f"""
SELECT count(*) FROM (
    SELECT FROM {EVERY_LANE}, LATERAL (
        SELECT FROM work w
        WHERE w.state = 'ready' AND w.carrier_id = c.carrier_id AND w.class = k.class
          AND w.ready_at < now() + interval '1 minute'
        LIMIT $1
    ) waiting
    WHERE c.carrier_id || ':' || k.class <> ALL ($2::text[])
    LIMIT $1) t"""  # noqa: S608 - the constant above


async def unpublished_count(
    connection: Connection, at_most: int, but: Iterable[tuple[int, int]] = ()
) -> int:
    """How many rows wait for the broker, counted up to `at_most`, without those of each (carrier,
    class) in `but`."""
    lanes = [f"{carrier_id}:{message_class}" for carrier_id, message_class in but]
    return int(await connection.fetchval(_BACKLOG, at_most, lanes))


class Claimed(NamedTuple):
    """A message this worker alone may submit now; `parts` are those still to go."""

    message_id: UUID
    account_id: int
    line_id: int
    country: str
    sender: str
    recipient: str
    body: str
    """Empty where it is sealed, until `sealed_texts` has opened it."""
    segment_count: int
    parts: list[int]
    valid_seconds: int
    submitted_at: datetime
    deferral_count: int
    concat_reference: int | None
    opted_out: bool
    """Its phone wants no messages: it is not to be submitted, and no intent was written."""

    def __repr__(self) -> str:
        return f"Claimed({self.message_id})"


class Claim(NamedTuple):
    """What a claim has found, and the transaction to ask about should its commit not be heard of.
    Under an `epoch` that was not asked for it is empty."""

    epoch: int
    transaction: Transaction
    messages: list[Claimed]


# One statement: the rows of work are deleted, which only one worker can, and the intent is written.
# What is past its time is left to the sweep; what needs another permit by now is published again;
# what waits for another carrier by now is in that one's queue.
# Whether a phone has opted out is seen as of the fences, which stand until the commit; what it is
# answered goes to it all the same.
# The ids are in order, so that the place of one among them is found by halving.
_CLAIM = f"""
WITH claimed AS (
    DELETE FROM work w USING limiter_epoch f
    WHERE w.message_id = ANY ($1::uuid[])
      AND w.segment_count = ($2::smallint[])[width_bucket(w.message_id, $1::uuid[])]
      AND w.carrier_id = $8 AND w.expires_at > now() AND f.epoch = $4
    RETURNING w.message_id, w.expires_at, w.deferral_count
), found AS (
    SELECT m.message_id, m.account_id, m.line_id, m.country, m.sender, m.recipient, m.body,
           m.segment_count,
           CASE m.segment_count WHEN 1 THEN '{{1}}' ELSE ARRAY(
               SELECT part FROM parts p WHERE p.message_id = m.message_id
               AND p.{segments.IS_WAITING} ORDER BY part) END AS parts,
           floor(extract(epoch FROM c.expires_at - now()))::int AS valid_seconds,
           now() AS submitted_at, c.deferral_count, m.concat_reference,
           coalesce(o.opted_out, false) AS opted_out
    FROM claimed c JOIN messages m USING (message_id) LEFT JOIN LATERAL ({opt_outs.IS_UNWANTED}
    ) o ON true
), intent AS (
    INSERT INTO submits (message_id, part, worker_id, submitted_at)
    SELECT message_id, unnest(parts), $3, submitted_at FROM found WHERE NOT opted_out
), charged AS (
    INSERT INTO limit_usage AS u (scope, minute, worker_id, segment_count)
    SELECT scope, minute, $3, segment_count
    FROM unnest($5::text[], $6::bigint[], $7::int[]) AS t (scope, minute, segment_count)
    WHERE (SELECT count(*) FROM found WHERE NOT opted_out) = cardinality($1)
    {limits.ADD_USAGE}
)
SELECT f.epoch, pg_current_xact_id()::text AS transaction_id, now() AS began_at, found.*
FROM limiter_epoch f LEFT JOIN found ON true"""  # noqa: S608 - parts of our own


async def claim(
    connection: Connection,
    segment_counts: Mapping[UUID, int],
    worker_id: UUID,
    epoch: int,
    usage: limits.Usage,
    carrier_id: int,
) -> Claim:
    """Claim messages of a carrier that need just so many segments; behind the fences. If all of
    them may be submitted, `usage` has been charged; if not, whoever calls charges what is right,
    and ends what is `opted_out`, in the same transaction."""
    message_ids = sorted(segment_counts)
    rows = await connection.fetch(
        _CLAIM,
        message_ids,
        [segment_counts[each] for each in message_ids],
        worker_id,
        epoch,
        *limits.columns(usage),
        carrier_id,
    )
    in_force, transaction_id, began_at, *_ = rows[0]
    found = [Claimed(*list(row)[3:]) for row in rows if row["message_id"] is not None]
    return Claim(in_force, Transaction(transaction_id, began_at), found)


# What has just been accepted is claimed so soon that an entry in an index by its end would be for
# nothing. While it is leased nobody looks; after that it is found by the index of what is ready.
_TAKE_EXPIRED = f"""
DELETE FROM work WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM work WHERE state <> 'ready' AND expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
) || ARRAY(
    SELECT over.message_id
    FROM {EVERY_LANE}, LATERAL (
        SELECT message_id FROM work w
        WHERE w.state = 'ready' AND w.carrier_id = c.carrier_id AND w.class = k.class
          AND w.ready_at <= now() AND w.expires_at <= now()
        ORDER BY w.ready_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) over LIMIT $1))
RETURNING message_id"""  # noqa: S608 - the constant above


async def take_expired(connection: Connection, limit: int) -> list[UUID]:
    """Own, and so end, messages whose time is over while they waited: at most `limit` of those that
    are ready for the relay, and as many others."""
    return [row["message_id"] for row in await connection.fetch(_TAKE_EXPIRED, limit)]


# A row that is there already is about other parts of the message: now it is about these too.
_REQUEUE = f"""
INSERT INTO work AS w (message_id, account_id, line_id, carrier_id, country, class, segment_count,
                       state, ready_at, expires_at, deferral_count)
SELECT m.message_id, m.account_id, m.line_id, m.carrier_id, m.country, m.class, p.waiting_count,
       CASE WHEN t.held_count = p.waiting_count THEN 'published'
            WHEN t.delay_ms > 0 THEN 'scheduled' ELSE 'ready' END,
       now() + CASE WHEN t.held_count = p.waiting_count THEN 0 ELSE t.delay_ms END
               * interval '1 millisecond', m.expires_at, t.deferral_count
FROM unnest($1::uuid[], $2::int[], $3::int[], $4::int[])
     AS t (message_id, delay_ms, deferral_count, held_count)
JOIN messages m USING (message_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting_count FROM parts
    WHERE message_id = m.message_id AND {segments.IS_WAITING}
) p
WHERE p.waiting_count > 0
ON CONFLICT (message_id) DO UPDATE
SET segment_count = excluded.segment_count, state = excluded.state, ready_at = excluded.ready_at,
    bypass_gate = false
WHERE w.segment_count <> excluded.segment_count
RETURNING message_id, xmax <> 0 AS joined"""  # noqa: S608 - words of our own


_STILL_HELD = """
SELECT message_id FROM work
WHERE message_id = ANY ($1::uuid[]) AND state = 'published'
  AND segment_count = ($2::int[])[array_position($1::uuid[], message_id)]"""


class Deferral(NamedTuple):
    """A message to try again after `delay_ms`, put off so many times by then. Whoever holds an
    envelope of it with `held_count` segments may try it at once, if that is what waits of it."""

    message_id: UUID
    delay_ms: int = 0
    deferral_count: int = 0
    held_count: int = 0


async def requeue(connection: Connection, deferrals: Sequence[Deferral]) -> frozenset[UUID]:
    """Put messages whose segments went back to `queued` to work again; those that stay with who
    holds them, also when this is repeated. Other parts that wait already go with them, for a
    message has one row."""
    if not deferrals:
        return frozenset()
    rows = await connection.fetch(
        _REQUEUE,
        [each.message_id for each in deferrals],
        [each.delay_ms for each in deferrals],
        [each.deferral_count for each in deferrals],
        [each.held_count for each in deferrals],
    )
    joined = [row["message_id"] for row in rows if row["joined"]]
    await segments.settle_waiting(connection, joined, states.SegmentState.QUEUED)
    held = {each.message_id: each.held_count for each in deferrals if each.held_count}
    if not held:
        return frozenset()
    still = await connection.fetch(_STILL_HELD, list(held), list(held.values()))
    return frozenset(row["message_id"] for row in still)


_HAND_BACK = """
UPDATE work SET state = 'ready' WHERE message_id = ANY ($1::uuid[]) AND state = 'published'"""


async def hand_back(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Have messages published again, since who held them does not any more."""
    await connection.execute(_HAND_BACK, message_ids)


_STILL_WAITING = "SELECT message_id FROM work WHERE message_id = ANY ($1::uuid[])"


async def still_waiting(connection: Connection, message_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the messages that still have a row of work."""
    rows = await connection.fetch(_STILL_WAITING, message_ids)
    return {row["message_id"] for row in rows}


_DROP = "DELETE FROM work WHERE message_id = ANY ($1::uuid[]) RETURNING message_id"


async def take(connection: Connection, message_ids: Sequence[UUID]) -> list[UUID]:
    """Own, and so end, these messages, as far as they still wait."""
    return [row["message_id"] for row in await connection.fetch(_DROP, sorted(message_ids))]


_TAKE_DUE = """
UPDATE work SET state = 'ready', ready_at = now()
WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM work WHERE state = 'scheduled' AND ready_at <= now()
    ORDER BY ready_at LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING message_id"""


async def take_due(connection: Connection, limit: int) -> list[UUID]:
    """Messages whose time has come, the producer's or that of another try, ready for the relay."""
    return [row["message_id"] for row in await connection.fetch(_TAKE_DUE, limit)]
