"""Every raw receipt, kept: in pages if its segment was known at once; else in a row of its own,
which is tried again until the deadline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import stretches
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


class KeptReceipt(NamedTuple):
    """A receipt as it is kept, once it has found its segment."""

    message_id: UUID
    part: int
    state: str
    received_at: datetime
    raw: bytes
    carrier_id: int

    def __repr__(self) -> str:
        return f"KeptReceipt({self.message_id}, {self.part}, {self.state!r})"


async def insert(
    connection: Connection, new: Sequence[NewReceipt], *, some_here: bool = False
) -> None:
    """Store receipts within a transaction of the caller; those without an owner to be tried again.

    With `some_here` those with an owner may be here already, which costs a look at all that came
    for messages of their time; those without are always stored once. Who stores the same at the
    same moment is not seen, and keeps it a second time.
    """
    owned = [(each.receipt_id, _kept(each, each.owner)) for each in new if each.owner is not None]
    if owned and some_here:
        owned = await _missing(connection, owned)
    if owned:
        await connection.execute(_INSERT_PAGES, _pages(kept for _, kept in owned))
    if rows := [_row(each) for each in new if each.owner is None]:
        await connection.execute(_INSERT, rows)
    if seeking := [row for each in new if (row := _seeking(each)) is not None]:
        await connection.execute(_SEEK, seeking)


def _kept(new: NewReceipt, owner: Owner) -> KeptReceipt:
    return KeptReceipt(
        owner.message_id, owner.part, _state(new.word), new.received_at, new.raw, new.carrier_id
    )


def _state(word: Receipt | LateAnswer | None) -> str:
    match word:
        case Receipt():
            return word.state
        case LateAnswer():
            return word.verdict
        case None:
            return UNREADABLE


_INSERT_PAGES = """
INSERT INTO receipt_pages (last_message_id, first_message_id, carrier_id, message_ids, parts,
                           states, received_at, raws)
SELECT last_message_id, first_message_id, carrier_id, message_ids, parts, states, received_at, raws
FROM unnest($1::new_receipt_page[])"""


class _ReceiptPage(NamedTuple):
    """Receipts of one carrier for messages of one stretch, in the order they came; a row of the
    type `new_receipt_page`."""

    last_message_id: UUID
    first_message_id: UUID
    carrier_id: int
    message_ids: Sequence[UUID]
    parts: Sequence[int]
    states: Sequence[str]
    received_at: Sequence[datetime]
    raws: Sequence[bytes]


def _pages(receipts: Iterable[KeptReceipt]) -> list[_ReceiptPage]:
    """As few as can be."""
    pages: defaultdict[tuple[int, int], list[KeptReceipt]] = defaultdict(list)
    for each in receipts:
        pages[each.carrier_id, stretches.of(each.message_id)].append(each)
    return [_page(carrier_id, page) for (carrier_id, _), page in pages.items()]


def _page(carrier_id: int, receipts: Sequence[KeptReceipt]) -> _ReceiptPage:
    message_ids, parts, states, received_at, raws, _ = zip(*receipts, strict=True)
    return _ReceiptPage(
        max(message_ids),
        min(message_ids),
        carrier_id,
        message_ids,
        parts,
        states,
        received_at,
        raws,
    )


# "Is true" keeps the planner from making a join of it, which would compare each receipt with all
# that are asked for.
_OF_MESSAGES = """
SELECT message_id, part, state, received_at, raw, carrier_id FROM (
    SELECT k.message_id, k.part, k.state, k.received_at, k.raw, p.carrier_id, k.place
    FROM unnest($2::uuid[], $3::uuid[], $4::uuid[]) AS s (first_id, last_id, end_id)
    JOIN receipt_pages p ON p.last_message_id BETWEEN s.first_id AND s.end_id
                        AND p.first_message_id <= s.last_id
    CROSS JOIN LATERAL unnest(p.message_ids, p.parts, p.states, p.received_at, p.raws)
        WITH ORDINALITY AS k (message_id, part, state, received_at, raw, place)
    WHERE (k.message_id IN (SELECT unnest($1::uuid[]))) IS TRUE
    UNION ALL
    SELECT message_id, part, state, received_at, raw, carrier_id, 0
    FROM unnest($1::uuid[]) AS asked (message_id) JOIN receipts USING (message_id)
) kept ORDER BY received_at, place"""


async def of_message(connection: Connection, message_id: UUID) -> list[KeptReceipt]:
    """What was kept of a message, oldest first."""
    return await _of_messages(connection, {message_id})


async def _of_messages(connection: Connection, message_ids: set[UUID]) -> list[KeptReceipt]:
    spans: defaultdict[int, list[UUID]] = defaultdict(list)
    for each in message_ids:
        spans[stretches.of(each)].append(each)
    rows = await connection.fetch(
        _OF_MESSAGES,
        message_ids,
        [min(span) for span in spans.values()],
        [max(span) for span in spans.values()],
        [stretches.last_id(stretch) for stretch in spans],
    )
    return [KeptReceipt(*row) for row in rows]


_HERE = "SELECT receipt_id FROM receipts WHERE receipt_id = ANY ($1::uuid[])"


async def _missing(
    connection: Connection, owned: Sequence[tuple[UUID, KeptReceipt]]
) -> list[tuple[UUID, KeptReceipt]]:
    """Those that are not here yet. Pages hold no ids of receipts: what says the same of the same
    segment in the same words, and came in the same millisecond, is the same. One that had no owner
    when it came is a row, and stays one."""
    rows = await connection.fetch(_HERE, [receipt_id for receipt_id, _ in owned])
    here = {row["receipt_id"] for row in rows}
    kept = set(await _of_messages(connection, {each.message_id for _, each in owned}))
    return [
        (receipt_id, each)
        for receipt_id, each in owned
        if receipt_id not in here and each not in kept
    ]


_INSERT = """
INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at,
                      retry_at)
SELECT receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at,
       CASE WHEN retry THEN now() + interval '200 milliseconds' END
FROM unnest($1::new_receipt[]) ON CONFLICT (receipt_id) DO NOTHING"""


def _row(new: NewReceipt) -> tuple[object, ...]:
    """A row of the type `new_receipt`, without an owner. Only what is looked for again has its id
    and code beside `raw`: of the others nobody asks for them."""
    receipt_id, carrier_id, received_at, raw, word, _ = new
    state, carrier_message_id, code, retry = _state(word), "", "", False
    message_id = part = None
    if isinstance(word, Receipt):
        carrier_message_id, code, retry = word.carrier_message_id, word.code, True
    return (
        receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at, message_id, part,
        retry,
    )  # fmt: skip


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
