"""A batch of raw receipts → stored receipts, moved segments, statuses, events: one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import structlog

from services.dlr import evidence, interpreters
from shared.broker import envelopes
from shared.db import matching, receipts, segments
from shared.db.connection import Connection
from shared.sms.receipts import LateAnswer, Receipt

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a batch."""

    matched_count: int
    unmatched_count: int
    unreadable_count: int
    changed_count: int
    """Messages whose status changed."""


class _Read(NamedTuple):
    """A raw receipt, and what its carrier's adapter makes of it."""

    raw: envelopes.RawReceipt
    received_at: datetime
    word: Receipt | LateAnswer | None


async def apply(
    connection: Connection,
    readers: interpreters.Interpreters,
    batch: Sequence[envelopes.RawReceipt],
) -> Tally:
    """Store the batch and let what it says act. Applying it again changes nothing.

    A receipt nobody can read is kept as it is; one whose segment is not known (yet) is kept to be
    tried again.
    """
    # In the order of ids, so that two processes with the same receipts never wait in a circle.
    ordered = sorted(batch, key=lambda raw: raw.receipt_id)
    read = [_Read(raw, _received_at(raw), _word(readers, raw)) for raw in ordered]
    async with connection.transaction():
        owners = await _owners(connection, read)
        await _store(connection, read, owners)
        proofs = [
            proof
            for each, owner in zip(read, owners, strict=True)
            if owner is not None and (proof := _proof(each.word, owner)) is not None
        ]
        # Last, for it locks the heads of the event logs until the commit.
        changed_count = await segments.settle(connection, proofs)
    unreadable_count = sum(each.word is None for each in read)
    matched_count = sum(owner is not None for owner in owners)
    return Tally(
        matched_count, len(read) - unreadable_count - matched_count, unreadable_count, changed_count
    )


def _word(
    readers: interpreters.Interpreters, raw: envelopes.RawReceipt
) -> Receipt | LateAnswer | None:
    reader = readers.of_carrier(raw.carrier_id)
    return None if reader is None else reader.read(raw.body)


async def _owners(connection: Connection, read: Sequence[_Read]) -> list[tuple[UUID, int] | None]:
    """Whose each is. Only an id is asked here; what has none that fits is tried again by `late`."""
    clues = [_clue(each, each.word) for each in read if isinstance(each.word, Receipt)]
    found = iter(await matching.by_id(connection, clues) if clues else ())
    owners: list[tuple[UUID, int] | None] = []
    for raw, _, word in read:
        match word:
            case LateAnswer():
                owners.append((word.message_id, word.part))
            case Receipt():
                owners.append(_fitting(raw, word, next(found)))
            case None:
                owners.append(None)
    return owners


def _clue(read: _Read, receipt: Receipt) -> matching.Clue:
    return matching.Clue(
        read.raw.carrier_id,
        receipt.carrier_message_id,
        receipt.phones,
        read.received_at,
        receipt.reference,
    )


def _fitting(
    raw: envelopes.RawReceipt, receipt: Receipt, owner: matching.Owner | None
) -> tuple[UUID, int] | None:
    if owner is None or (receipt.by_id_only and not receipt.phones):
        return None
    if not owner.fits:
        # Either an id used again, or a carrier that does not name the recipient in its receipts.
        _log.warning(
            "receipt_names_another_phone",
            receipt_id=str(raw.receipt_id),
            carrier_id=raw.carrier_id,
            message_id=str(owner.message_id),
        )
        return None
    return owner.message_id, owner.part


def _proof(word: Receipt | LateAnswer | None, owner: tuple[UUID, int]) -> segments.Evidence | None:
    match word:
        case Receipt():
            return evidence.evidence_of(*owner, word.state, word.code)
        case LateAnswer():
            return evidence.evidence_of_answer(word)
        case None:
            return None


async def _store(
    connection: Connection, read: Sequence[_Read], owners: Sequence[tuple[UUID, int] | None]
) -> None:
    pairs = list(zip(read, owners, strict=True))
    await receipts.insert(connection, [_stored(each, owner) for each, owner in pairs])
    await receipts.note_seeking(
        connection,
        [
            receipts.Seeking(
                each.raw.receipt_id,
                each.word.phones,
                each.word.reference,
                each.word.submit_date,
                each.word.by_id_only,
            )
            for each, owner in pairs
            if owner is None and isinstance(each.word, Receipt)
        ],
    )


def _stored(each: _Read, owner: tuple[UUID, int] | None) -> receipts.NewReceipt:
    raw, received_at, word = each
    message_id, part = owner or (None, None)
    return receipts.NewReceipt(
        raw.receipt_id,
        raw.carrier_id,
        carrier_message_id="" if word is None else word.carrier_message_id,
        state=_state(word),
        code="" if word is None else word.code,
        raw=raw.body,
        received_at=received_at,
        message_id=message_id,
        part=part,
        retry=owner is None and isinstance(word, Receipt),
    )


def _state(word: Receipt | LateAnswer | None) -> str:
    match word:
        case Receipt():
            return word.state
        case LateAnswer():
            return word.verdict
        case None:
            return receipts.UNREADABLE


def _received_at(raw: envelopes.RawReceipt) -> datetime:
    return datetime.fromtimestamp(raw.received_at_ms / 1000, UTC)


async def keep_unread(connection: Connection, raw: envelopes.RawReceipt) -> None:
    """Store a receipt without a look inside: something in it cannot be applied."""
    await receipts.insert(connection, [_stored(_Read(raw, _received_at(raw), None), None)])
