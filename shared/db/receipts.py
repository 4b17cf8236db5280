"""Every raw receipt, kept; those whose segment is not known yet are tried again until the
deadline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db.connection import Connection
from shared.db.matching import Clue, Owner
from shared.sms.receipts import LateAnswer, Receipt, ReceiptState

UNREADABLE = "unreadable"
"""State of a receipt its adapter could not read; it is kept, and nothing follows from it."""


class NewReceipt(NamedTuple):
    """A raw receipt, what its carrier's adapter makes of it (None: it cannot read it), and whose it
    is, as far as anybody knows."""

    receipt_id: UUID
    carrier_id: int
    received_at: datetime
    raw: bytes
    word: Receipt | LateAnswer | None
    owner: Owner | None

    def __repr__(self) -> str:
        return f"NewReceipt({self.receipt_id})"


class Repeated(Exception):
    """Some of these receipts are here already. Nothing was stored, and the transaction is lost."""


_INSERT = """
INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at,
                      message_id, part, retry_at)
SELECT receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at, message_id, part,
       CASE WHEN retry THEN now() + interval '200 milliseconds' END
FROM unnest($1::new_receipt[])"""
_INSERT_MISSING = f"{_INSERT} ON CONFLICT (receipt_id) DO NOTHING"


async def insert(
    connection: Connection, new: Sequence[NewReceipt], *, some_here: bool = False
) -> None:
    """Store receipts within a transaction of the caller; those without an owner to be tried again.

    A delivery may be repeated, though it hardly ever is: then this raises Repeated. With
    `some_here` what is here already stays as it is, which costs a third more.
    """
    try:
        rows = [_row(each) for each in new]
        await connection.execute(_INSERT_MISSING if some_here else _INSERT, rows)
    except asyncpg.UniqueViolationError:
        raise Repeated from None
    if seeking := [row for each in new if (row := _seeking(each)) is not None]:
        await connection.execute(_SEEK, seeking)


def _row(new: NewReceipt) -> tuple[object, ...]:
    """A row of the type `new_receipt`. Only what is looked for again has its id and code beside
    `raw`: of the others nobody asks for them."""
    receipt_id, carrier_id, received_at, raw, word, owner = new
    message_id, part = owner[:2] if owner else (None, None)
    state, carrier_message_id, code, retry = _state(word), "", "", False
    if owner is None and isinstance(word, Receipt):
        carrier_message_id, code, retry = word.carrier_message_id, word.code, True
    return (
        receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at, message_id, part,
        retry,
    )  # fmt: skip


def _state(word: Receipt | LateAnswer | None) -> str:
    match word:
        case Receipt():
            return word.state
        case LateAnswer():
            return word.verdict
        case None:
            return UNREADABLE


_SEEK = """
UPDATE receipts r SET phones = t.phones, reference = t.reference, submit_date = t.submit_date,
                      by_id_only = t.by_id_only
FROM unnest($1::receipt_seeking[]) t
WHERE r.receipt_id = t.receipt_id AND r.retry_at IS NOT NULL"""


def _seeking(new: NewReceipt) -> tuple[object, ...] | None:
    """What else is known of whose it is, a row of the type `receipt_seeking`; None where nobody
    looks again."""
    word = new.word
    if new.owner is not None or not isinstance(word, Receipt):
        return None
    return new.receipt_id, word.phones, word.reference, word.submit_date, word.by_id_only


class Unmatched(NamedTuple):
    """A receipt that came before its submit's answer was stored, or whose segment never had an
    answer, or that belongs to nobody."""

    receipt_id: UUID
    carrier_id: int
    received_at: datetime
    said: Receipt

    @property
    def clue(self) -> Clue:
        """What it says of whose it is."""
        said = self.said
        return Clue(
            self.carrier_id,
            said.carrier_message_id,
            said.phones,
            self.received_at,
            said.reference,
        )

    def __repr__(self) -> str:
        return f"Unmatched({self.receipt_id})"


_TAKE_UNMATCHED = """
SELECT receipt_id, carrier_id, received_at, carrier_message_id, state, code,
       coalesce(phones, '{}') AS phones, reference, submit_date, by_id_only
FROM receipts
WHERE retry_at <= now() ORDER BY retry_at LIMIT $1 FOR UPDATE SKIP LOCKED"""


async def take_unmatched(connection: Connection, limit: int) -> list[Unmatched]:
    """Receipts whose next try is due, locked for this transaction."""
    rows = await connection.fetch(_TAKE_UNMATCHED, limit)
    return [
        Unmatched(
            receipt_id,
            carrier_id,
            received_at,
            Receipt(carrier_message_id, ReceiptState(state), code, tuple(phones), *seeking),
        )
        for (
            receipt_id,
            carrier_id,
            received_at,
            carrier_message_id,
            state,
            code,
            phones,
            *seeking,
        ) in rows
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
