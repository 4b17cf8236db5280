"""Whose receipt is it: found by the carrier's id, or among the segments whose id nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import submits
from shared.db.connection import Connection
from shared.sms.receipts import Receipt

_WINDOW = "2 * (SELECT receipt_deadline())"
"""How long after its submit a receipt is believed: a receipt may correct a segment for as long
again as it had time until the deadline; carriers use ids again after weeks."""
SKEW_SECONDS = 60
"""How much a host's clock may be behind PostgreSQL's."""
NAMELESS_COUNT_MAX = 20
"""Nameless segments that are returned for one phone; with more of them no receipt fits just one."""


class Clue(NamedTuple):
    """What a receipt says of whose it is; a row of the type `receipt_clue`. `phones` are the ends
    of one or two numbers, one of which must be the recipient's; none: the receipt names no
    phone."""

    carrier_id: int
    carrier_message_id: str
    phones: Sequence[str]
    received_at: datetime
    reference: int | None

    def __repr__(self) -> str:
        return f"Clue({self.carrier_id}, {self.carrier_message_id!r})"


class Owner(NamedTuple):
    """The newest segment with a receipt's id; `alone`: it is its message's only one; `fits`: the
    receipt names its recipient, or none. `beside` are its message's other parts with this id: the
    carrier was given them as one, and means all of them."""

    message_id: UUID
    part: int
    alone: bool
    fits: bool
    beside: tuple[int, ...] = ()


# The ordinary way of every receipt: plain values, oldest first; whose phone it is, Python compares.
_BY_ID = f"""
SELECT t.place, s.message_id, s.part, m.segment_count = 1 AS alone, m.recipient
FROM unnest($1::int[], $2::text[], $3::timestamptz[]) WITH ORDINALITY
     AS t (carrier_id, carrier_message_id, received_at, place)
JOIN segments s USING (carrier_id, carrier_message_id)
JOIN messages m USING (message_id)
WHERE s.submitted_at > t.received_at - {_WINDOW}
  AND s.submitted_at < t.received_at + $4 * interval '1 second'
ORDER BY s.submitted_at, s.message_id, s.part DESC"""  # noqa: S608 - a constant of our own


async def by_id(
    connection: Connection, asked: Sequence[tuple[int, Receipt, datetime]]
) -> list[Owner | None]:
    """For each (carrier, receipt, when it came) the segment that its id names. Of several with this
    id, submitted in time, it is one whose recipient fits, and of those the newest."""
    if not asked:
        return []
    carrier_ids, said, received_at = zip(*asked, strict=True)
    names = [receipt.carrier_message_id for receipt in said]
    rows = await connection.fetch(_BY_ID, carrier_ids, names, received_at, SKEW_SECONDS)
    found: list[Owner | None] = [None] * len(said)
    for place, message_id, part, alone, recipient in rows:
        receipt, before = said[place - 1], found[place - 1]
        fits = receipt.names(recipient)
        if fits or before is None or not before.fits:
            found[place - 1] = Owner(message_id, part, alone, fits, _beside(before, message_id))
    return found


def _beside(before: Owner | None, message_id: UUID) -> tuple[int, ...]:
    if before is None or before.message_id != message_id:
        return ()
    return (before.part, *before.beside)


_DOUBTS_KEY = 0x51C1CE01


async def take_turn(connection: Connection) -> bool:
    """Whether this transaction alone may decide about nameless segments, until it ends: two that
    decided at once could give two receipts to one segment."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _DOUBTS_KEY))


@dataclass(frozen=True, slots=True)
class Nameless:
    """A segment that was in doubt once, or accepted without an id. `known`: it has its id now."""

    message_id: UUID
    part: int
    state: str
    submitted_at: datetime
    attempt_count: int
    known: bool


# Both limits keep a phone with thousands of doubts from standing in the way of all others.
_NAMELESS = f"""
SELECT t.place, s.message_id, s.part, s.state, s.submitted_at, s.attempt_count, s.known
FROM unnest($1::receipt_clue[]) WITH ORDINALITY
     AS t (carrier_id, carrier_message_id, phones, received_at, reference, place)
CROSS JOIN LATERAL unnest(t.phones) AS phone
CROSS JOIN LATERAL (
    SELECT d.* FROM (
        SELECT message_id, part, submitted_at, attempt_count, recipient,
               CASE WHEN {submits.UNDER_WAY} THEN 'submitting' ELSE state END AS state,
               carrier_message_id IS NOT NULL AS known
        FROM segments s
        WHERE carrier_id = t.carrier_id AND recipient IS NOT NULL
          AND "right"(recipient, 7) = "right"(phone, 7)
          AND submitted_at > t.received_at - {_WINDOW}
          AND submitted_at < t.received_at + $2 * interval '1 second'
        ORDER BY submitted_at DESC LIMIT 1000
    ) d
    WHERE "right"(d.recipient, length(phone)) = phone
      AND (t.reference IS NULL OR t.reference =
           (('x' || "right"(d.message_id::text, 4))::bit(16)::integer + d.part) & 65535)
    LIMIT $3
) s"""  # noqa: S608 - a constant of our own


async def nameless(connection: Connection, clues: Sequence[Clue]) -> list[list[Nameless]]:
    """For each clue the nameless segments of its carrier, phone and time, and of its reference if
    it has one; at most NAMELESS_COUNT_MAX a phone."""
    rows = await connection.fetch(_NAMELESS, clues, SKEW_SECONDS, NAMELESS_COUNT_MAX)
    found: list[dict[tuple[UUID, int], Nameless]] = [{} for _ in clues]
    for row in rows:
        place, *segment = row
        found[place - 1][row["message_id"], row["part"]] = Nameless(*segment)
    return [list(each.values()) for each in found]


class Rivals(NamedTuple):
    """Who else may claim what a receipt claims. `receipt_count`: ids of other unmatched receipts
    from its phone; `in_hand`: a submit to that phone has no recorded answer yet."""

    receipt_count: int
    in_hand: bool


_RIVALS = """
SELECT (
    SELECT count(DISTINCT r.carrier_message_id) FROM receipts r
    WHERE r.retry_at IS NOT NULL AND r.carrier_id = t.carrier_id AND r.phones = t.phones
      AND r.carrier_message_id <> t.carrier_message_id
), EXISTS (
    SELECT FROM submits u JOIN messages m USING (message_id), unnest(t.phones) AS phone
    WHERE m.carrier_id = t.carrier_id
      AND u.submitted_at < t.received_at + $2 * interval '1 second'
      AND "right"(m.recipient, length(phone)) = phone)
FROM unnest($1::receipt_clue[]) WITH ORDINALITY
     AS t (carrier_id, carrier_message_id, phones, received_at, reference, place)
ORDER BY t.place"""


async def rivals(connection: Connection, clues: Sequence[Clue]) -> list[Rivals]:
    """For each clue who else may claim what it claims."""
    return [Rivals(*row) for row in await connection.fetch(_RIVALS, clues, SKEW_SECONDS)]
