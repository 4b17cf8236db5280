"""What pushers know of webhooks: who is at which, what waits for it, and what came of it.

A pusher leases a webhook for a while, so that one process is at it at a time; what it writes counts
only while the lease is its own. Whoever locks a row of `webhooks` locks nothing else but what hangs
on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import events
from shared.db.connection import Connection
from shared.rules import event_types

LEASE_SECONDS = 20
"""After so long without a word of its pusher a webhook is another's."""


class Leased(NamedTuple):
    """A webhook that this process alone is at, as long as the lease is the one in its row.
    `sealed_old_secret` is None once it is no longer good."""

    lease_id: UUID
    webhook_id: UUID
    account_id: int
    url: str
    events: list[str]
    sealed_secret: bytes
    sealed_old_secret: bytes | None
    read_until: int
    failure_count: int
    failing_since: datetime | None
    form: str

    def __repr__(self) -> str:
        return f"Leased({self.webhook_id})"

    def __hash__(self) -> int:
        return hash((self.lease_id, self.webhook_id))


_LEASED = """w.lease_id, w.webhook_id, w.account_id, w.url, w.events, w.sealed_secret,
    CASE WHEN w.old_secret_until > now() THEN w.sealed_old_secret END, w.read_until,
    w.failure_count, w.failing_since, w.form"""

# Those that were served longest ago. A time to come is written only for who has to wait, so that no
# index is touched while all goes well.
_LEASE = f"""
WITH due AS MATERIALIZED (
    SELECT w.webhook_id FROM webhooks w
    WHERE w.state = 'active' AND w.due_at <= now() AND w.leased_until < now()
      AND (w.retry_at <= now() OR w.read_until < (
          SELECT h.last_sequence FROM event_heads h WHERE h.account_id = w.account_id))
    ORDER BY w.leased_until LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE webhooks w
SET lease_id = $1, leased_until = now() + interval '{LEASE_SECONDS} seconds'
FROM due WHERE w.webhook_id = due.webhook_id RETURNING {_LEASED}"""  # noqa: S608 - the constants above


# For nobody's sake nothing is numbered.
_NUMBER = f"""
SELECT number_events({events.NUMBER_COUNT}) WHERE EXISTS (
    SELECT FROM webhooks
    WHERE state = 'active' AND due_at <= now() AND leased_until < now())"""  # noqa: S608 - a number of our own


async def lease(connection: Connection, lease_id: UUID, count: int) -> list[Leased]:
    """Under a new lease take at most `count` webhooks that are to be told something now and have
    nobody at them."""
    await connection.execute(_NUMBER)
    return [Leased(*row) for row in await connection.fetch(_LEASE, lease_id, count)]


_RENEW = f"""
UPDATE webhooks w SET leased_until = now() + interval '{LEASE_SECONDS} seconds'
FROM unnest($1::uuid[], $2::uuid[]) AS held (lease_id, webhook_id)
WHERE w.webhook_id = held.webhook_id AND w.lease_id = held.lease_id"""  # noqa: S608 - a number of our own


async def renew(connection: Connection, held: Collection[Leased]) -> None:
    """Say of these that they are still ours, as far as they are."""
    lease_ids, webhook_ids = [each.lease_id for each in held], [each.webhook_id for each in held]
    await connection.execute(_RENEW, lease_ids, webhook_ids)


_RESEAL = """
UPDATE webhooks SET sealed_secret = $3
WHERE webhook_id = $1 AND sealed_secret = $2"""


async def reseal(connection: Connection, webhook_id: UUID, before: bytes, after: bytes) -> None:
    """Put the same secret, encrypted under a newer key, in the place of what was read."""
    await connection.execute(_RESEAL, webhook_id, before, after)


class Pending(NamedTuple):
    """An event that a webhook has been told of in vain."""

    sequence: int
    try_count: int
    first_tried_at: datetime


_PENDING = """
SELECT sequence, try_count, first_tried_at FROM webhook_retries
WHERE webhook_id = $1 AND due_at <= now() ORDER BY due_at LIMIT $2"""
_OLDEST = """
SELECT sequence, try_count, first_tried_at FROM webhook_retries
WHERE webhook_id = $1 ORDER BY sequence LIMIT 1"""
_PENDING_COUNT = "SELECT count(*) FROM webhook_retries WHERE webhook_id = $1"


async def pending(connection: Connection, webhook_id: UUID, limit: int) -> list[Pending]:
    """What is to be told again now, at most `limit`."""
    return [Pending(*row) for row in await connection.fetch(_PENDING, webhook_id, limit)]


async def oldest_pending(connection: Connection, webhook_id: UUID) -> list[Pending]:
    """The oldest event that waits to be told again, due or not; none where none waits."""
    return [Pending(*row) for row in await connection.fetch(_OLDEST, webhook_id)]


async def pending_count(connection: Connection, webhook_id: UUID) -> int:
    """How many events wait to be told again, due or not."""
    return int(await connection.fetchval(_PENDING_COUNT, webhook_id))


class Tried(NamedTuple):
    """One request: about which event, what came of it. `status` is 0 where no answer came."""

    sequence: int
    status: int
    outcome: str
    tried_at: datetime


class Postponed(NamedTuple):
    """An event to be told again after a while."""

    sequence: int
    try_count: int
    first_tried_at: datetime
    delay_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a round has done, and how the webhook stands after it.

    `ended` are retries that wait no more. Nothing is done for `pause_seconds`, and then one event
    told if it `is_probed`. `disabled_for` is the reason to disable it, or "". `recovered`: what
    waits is told at once. `goes_on`: the lease is kept.
    """

    read_until: int
    ended: Sequence[int] = ()
    postponed: Sequence[Postponed] = ()
    tried: Sequence[Tried] = field(default=(), repr=False)
    failure_count: int = 0
    failing_since: datetime | None = None
    pause_seconds: float = 0.0
    is_probed: bool = False
    recovered: bool = False
    disabled_for: str = ""
    goes_on: bool = False


# A lease that was given back has no id any more: who is just renewing it does not lock the webhook.
_FENCE = "SELECT FROM webhooks WHERE webhook_id = $1 AND lease_id = $2 FOR UPDATE"
_END = "DELETE FROM webhook_retries WHERE webhook_id = $1 AND sequence = ANY ($2)"
_POSTPONE = """
INSERT INTO webhook_retries (webhook_id, sequence, try_count, first_tried_at, due_at)
SELECT $1, sequence, try_count, first_tried_at, now() + delay_seconds * interval '1 second'
FROM unnest($2::bigint[], $3::integer[], $4::timestamptz[], $5::double precision[])
    AS p (sequence, try_count, first_tried_at, delay_seconds)
ON CONFLICT (webhook_id, sequence) DO UPDATE
SET try_count = excluded.try_count, due_at = excluded.due_at"""
_ALL_DUE = "UPDATE webhook_retries SET due_at = now() WHERE webhook_id = $1"
_NOTE = """
INSERT INTO webhook_tries (webhook_id, sequences, statuses, outcomes, tried_at)
VALUES ($1, $2, $3, $4, $5)"""
_STAND = f"""
UPDATE webhooks w SET
    read_until = $2, failure_count = $3, failing_since = $4,
    due_at = CASE WHEN $5::double precision > 0 THEN now() + $5 * interval '1 second'
                  WHEN r.row_count >= $6 THEN greatest(now(), r.due_at)
                  ELSE least(w.due_at, now()) END,
    retry_at = CASE WHEN r.row_count > 0 AND $7 THEN now() ELSE r.due_at END,
    state = CASE WHEN $8 = '' THEN state ELSE 'disabled' END,
    reason = CASE WHEN $8 = '' THEN reason ELSE $8 END,
    updated_at = CASE WHEN $8 = '' THEN updated_at ELSE now() END,
    lease_id = CASE WHEN $9 AND $8 = '' THEN lease_id END,
    leased_until = CASE WHEN $9 AND $8 = ''
                        THEN now() + interval '{LEASE_SECONDS} seconds' ELSE now() END
FROM (SELECT count(*) AS row_count, min(due_at) AS due_at FROM webhook_retries
      WHERE webhook_id = $1) r
WHERE w.webhook_id = $1"""  # noqa: S608 - a number of our own


async def record(connection: Connection, leased: Leased, course: Course, full_count: int) -> bool:
    """Write a round down; whether the lease was still ours, else nothing is written. With
    `full_count` retries nothing further is read before one of them is due. Where it disables the
    webhook, the account's log tells of it. In a transaction, of which it is the last."""
    webhook_id = leased.webhook_id
    if await connection.fetchrow(_FENCE, webhook_id, leased.lease_id) is None:
        return False
    if course.ended:
        await connection.execute(_END, webhook_id, course.ended)
    if course.postponed:
        columns = [list(column) for column in zip(*course.postponed, strict=True)]
        await connection.execute(_POSTPONE, webhook_id, *columns)
    if course.recovered:
        await connection.execute(_ALL_DUE, webhook_id)
    if course.tried:
        columns = [list(column) for column in zip(*course.tried, strict=True)]
        await connection.execute(_NOTE, webhook_id, *columns)
    await connection.execute(
        _STAND,
        webhook_id,
        course.read_until,
        course.failure_count,
        course.failing_since,
        course.pause_seconds,
        full_count,
        course.is_probed,
        course.disabled_for,
        course.goes_on,
    )
    if course.disabled_for:
        disabled = events.NewEvent(
            leased.account_id, event_types.WEBHOOK_DISABLED, webhook_id, course.disabled_for
        )
        await events.append(connection, [disabled])
    return True
