"""Every raw receipt, kept; those whose segment is not known yet are tried again until the
deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.db.matching import Clue

UNREADABLE = "unreadable"
"""State of a receipt its adapter could not read; it is kept, and nothing follows from it."""


class NewReceipt(NamedTuple):
    """One receipt as it is stored, a row of the type `new_receipt`. `retry`: its segment was not
    found, and this is all that is known of whose it is; look again soon."""

    receipt_id: UUID
    carrier_id: int
    carrier_message_id: str
    state: str
    code: str
    raw: bytes
    received_at: datetime
    message_id: UUID | None
    part: int | None
    retry: bool

    def __repr__(self) -> str:
        return f"NewReceipt({self.receipt_id})"


class Seeking(NamedTuple):
    """What else is known of whose a receipt is; a row of the type `receipt_seeking`. `by_id_only`:
    it needs an id and a phone that fit."""

    receipt_id: UUID
    phones: Sequence[str]
    reference: int | None
    submit_date: datetime | None
    by_id_only: bool

    def __repr__(self) -> str:
        return f"Seeking({self.receipt_id})"


_INSERT = """
INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at,
                      message_id, part, retry_at)
SELECT receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at, message_id, part,
       CASE WHEN retry THEN now() + interval '200 milliseconds' END
FROM unnest($1::new_receipt[])
ON CONFLICT (receipt_id) DO NOTHING"""


async def insert(connection: Connection, receipts: Sequence[NewReceipt]) -> None:
    """Store receipts; one that is here already, from a repeated delivery, stays as it is."""
    if receipts:
        await connection.execute(_INSERT, receipts)


_SEEK = """
UPDATE receipts r SET phones = t.phones, reference = t.reference, submit_date = t.submit_date,
                      by_id_only = t.by_id_only
FROM unnest($1::receipt_seeking[]) t
WHERE r.receipt_id = t.receipt_id AND r.retry_at IS NOT NULL"""


async def note_seeking(connection: Connection, seeking: Sequence[Seeking]) -> None:
    """Store what the next tries need of receipts whose segment was not found."""
    if seeking:
        await connection.execute(_SEEK, seeking)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A receipt that came before its submit's answer was stored, or whose segment never had an
    answer, or that belongs to nobody."""

    receipt_id: UUID
    state: str
    code: str
    submit_date: datetime | None
    by_id_only: bool
    clue: Clue


_TAKE_UNMATCHED = """
SELECT receipt_id, state, code, submit_date, by_id_only,
       carrier_id, carrier_message_id, coalesce(phones, '{}') AS phones, received_at, reference
FROM receipts
WHERE retry_at <= now() ORDER BY retry_at LIMIT $1 FOR UPDATE SKIP LOCKED"""


async def take_unmatched(connection: Connection, limit: int) -> list[Unmatched]:
    """Receipts whose next try is due, locked for this transaction."""
    rows = await connection.fetch(_TAKE_UNMATCHED, limit)
    return [
        Unmatched(receipt_id, state, code, submit_date, by_id_only, Clue(*clue))
        for receipt_id, state, code, submit_date, by_id_only, *clue in rows
    ]


_MATCHED = """
UPDATE receipts r SET message_id = t.message_id, part = t.part, retry_at = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::smallint[]) AS t (receipt_id, message_id, part)
WHERE r.receipt_id = t.receipt_id"""


async def set_matched(connection: Connection, matches: Sequence[tuple[UUID, UUID, int]]) -> None:
    """Store (receipt, message, part) that have found each other."""
    if matches:
        await connection.execute(
            _MATCHED,
            [receipt_id for receipt_id, _, _ in matches],
            [message_id for _, message_id, _ in matches],
            [part for _, _, part in matches],
        )


# 0.2 s, doubled up to 3.2 s and held there for the first two minutes, in which an answer may still
# come; then doubled up to an hour, until the deadline; then it is kept without a segment.
_POSTPONE = """
UPDATE receipts SET try_count = try_count + 1,
    retry_at = CASE WHEN received_at > now() - (SELECT receipt_deadline())
               THEN now() + interval '1 second' * CASE WHEN try_count < 40
                    THEN 0.2 * power(2, least(try_count, 4))
                    ELSE least(3.2 * power(2, least(try_count - 40, 20)), 3600) END
               END
WHERE receipt_id = ANY ($1::uuid[])"""


async def postpone(connection: Connection, receipt_ids: Sequence[UUID]) -> None:
    """Look for these again later."""
    if receipt_ids:
        await connection.execute(_POSTPONE, receipt_ids)
