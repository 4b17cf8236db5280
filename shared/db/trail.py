"""What a message's rows do not keep: each wait, each submit that was not the last, each time it was
put off. Written with what it tells of, a page a transaction and stretch of ids; read by its trace.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.db import stretches
from shared.db.connection import Connection
from shared.db.submits import Submit


class TrailStep(StrEnum):
    """What happened. `detail` and `until` of a TrailMark are told beside each that has one."""

    WAITED = "waited"  # parked, or still so when its line was looked at; the bucket, its time
    REROUTED = "rerouted"  # given to another carrier before any had it; from which, to which
    RELEASED = "released"  # its line had tokens again
    DUE = "due"  # its producer's time, or that of another try, had come
    RESCHEDULED = "rescheduled"  # by its producer; the time it waited for before, and the new one
    IMPOSSIBLE = "impossible"  # more segments than a limit holds at all; the bucket
    REJECTED = "rejected"  # what follows is the end of a submit; the carrier's word
    THROTTLED = "throttled"  # as above; when it is tried again
    DEFERRED = "deferred"  # as above
    ELSEWHERE = "elsewhere"  # as above; another carrier may take it
    HALTED = "halted"  # as above; the carrier does not let us send
    UNAVAILABLE = "unavailable"  # as above
    LOST = "lost"  # its answer; the carrier's word
    BILLED = "billed"  # by the carrier, and otherwise than by us; its count of parts
    ABANDONED = "abandoned"  # the worker died, and its answer is lost
    PUT_BACK = "put_back"  # the claim was not heard of, and nothing was sent
    RESUBMITTED = "resubmitted"  # it was lost, and may go out twice
    OVERDUE = "overdue"  # no receipt came within the deadline


class TrailMark(NamedTuple):
    """A step of a message. `part` is 0 where it is of the whole message; `begun_at` is the time of
    the submit it is about."""

    message_id: UUID
    step: TrailStep
    part: int = 0
    begun_at: datetime | None = None
    until: datetime | None = None
    detail: str = ""


def of_submits(found: Sequence[Submit], step: TrailStep) -> list[TrailMark]:
    """The same step of each of these submits."""
    return [TrailMark(message_id, step, part, begun_at) for message_id, part, begun_at in found]


class _TrailPage(NamedTuple):
    """Steps of messages of one stretch; a row of the type `new_trail_page`."""

    last_message_id: UUID
    first_message_id: UUID
    message_ids: Sequence[UUID]
    parts: Sequence[int]
    steps: Sequence[str]
    begun_at: Sequence[datetime | None]
    untils: Sequence[datetime | None]
    details: Sequence[str]


_INSERT = """
INSERT INTO trail_pages (last_message_id, first_message_id, message_ids, parts, steps, begun_at,
                         untils, details)
SELECT last_message_id, first_message_id, message_ids, parts, steps, begun_at, untils, details
FROM unnest($1::new_trail_page[])"""


async def mark(connection: Connection, marks: Sequence[TrailMark]) -> None:
    """Write steps down in the transaction that takes them, which is also their time. A transaction
    that is repeated because its commit was not heard of may write them twice."""
    if marks:
        await connection.execute(_INSERT, _pages(marks))


def _pages(marks: Sequence[TrailMark]) -> list[_TrailPage]:
    pages: defaultdict[int, list[TrailMark]] = defaultdict(list)
    for each in marks:
        pages[stretches.of(each.message_id)].append(each)
    return [_page(page) for page in pages.values()]


def _page(marks: Sequence[TrailMark]) -> _TrailPage:
    message_ids, steps, parts, begun_at, untils, details = zip(*marks, strict=True)
    return _TrailPage(
        max(message_ids), min(message_ids), message_ids, parts, steps, begun_at, untils, details
    )


class StoredMark(NamedTuple):
    """A mark as it was written, and when."""

    recorded_at: datetime
    part: int
    step: TrailStep
    begun_at: datetime | None
    until: datetime | None
    detail: str


# "Is true" keeps the planner from believing that there is one such page, or none.
_OF_MESSAGE = """
SELECT p.recorded_at, m.part, m.step, m.begun_at, m.until, m.detail
FROM trail_pages p
CROSS JOIN LATERAL unnest(p.message_ids, p.parts, p.steps, p.begun_at, p.untils, p.details)
    WITH ORDINALITY AS m (message_id, part, step, begun_at, until, detail, place)
WHERE p.last_message_id BETWEEN $1 AND $2 AND p.first_message_id <= $1
  AND (m.message_id = $1) IS TRUE
ORDER BY p.recorded_at, m.place"""


async def of_message(connection: Connection, message_id: UUID) -> list[StoredMark]:
    """The steps of a message, oldest first; what was written twice is told once."""
    end_id = stretches.last_id(stretches.of(message_id))
    told: dict[tuple[object, ...], StoredMark] = {}
    for recorded_at, part, step, *rest in await connection.fetch(_OF_MESSAGE, message_id, end_id):
        found = StoredMark(recorded_at, part, TrailStep(step), *rest)
        of_submit = (part, step, found.begun_at)
        told.setdefault(of_submit if found.begun_at else (part, step, recorded_at), found)
    return list(told.values())


class BilledOtherwise(NamedTuple):
    """A carrier's messages of which it bills other parts than were charged, and both counts."""

    carrier: str
    message_count: int
    charged_count: int
    billed_count: int


_BILLED_OTHERWISE = """
SELECT c.name, count(*), sum(m.segment_count), sum(b.detail::integer)
FROM (SELECT DISTINCT t.message_id, t.detail FROM trail_pages p
      CROSS JOIN LATERAL unnest(p.message_ids, p.steps, p.details) AS t (message_id, step, detail)
      WHERE p.last_message_id >= least_id(now() - $1 * interval '1 day')
        AND 'billed' = ANY (p.steps) AND t.step = 'billed') b
JOIN messages m USING (message_id)
JOIN segments s ON s.message_id = m.message_id AND s.part = 1
JOIN carriers c ON c.carrier_id = s.carrier_id
GROUP BY c.name ORDER BY c.name"""


async def billed_otherwise(connection: Connection, days: int) -> list[BilledOtherwise]:
    """What carriers that cut texts themselves count differently, of messages of so many days."""
    return [BilledOtherwise(*row) for row in await connection.fetch(_BILLED_OTHERWISE, days)]
