"""A batch of raw receipts → stored receipts, moved segments, statuses, events: one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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


async def apply(
    connection: Connection,
    readers: interpreters.Interpreters,
    batch: Sequence[envelopes.RawReceipt],
    *,
    some_here: bool = False,
) -> Tally:
    """Store the batch and let what it says act, in one transaction. Applying it again changes
    nothing; with `some_here`, see `receipts.insert`, it stores nothing either.

    A receipt nobody can read is kept as it is; one whose segment is not known (yet) is kept to be
    tried again.
    """
    # Each once, for its link may have gone and brought it again. In the order of ids, so that two
    # processes with the same receipts never wait in a circle.
    once = {raw.receipt_id: raw for raw in batch}
    ordered = sorted(once.values(), key=lambda raw: raw.receipt_id.int)
    words = [_word(readers, raw) for raw in ordered]
    new = await _with_owners(connection, ordered, words)
    async with connection.transaction():
        await receipts.insert(connection, new, some_here=some_here)
        changed_count = await segments.settle(connection, _proofs(new))
    unreadable_count = words.count(None)
    matched_count = sum(each.owner is not None for each in new)
    return Tally(
        matched_count, len(new) - unreadable_count - matched_count, unreadable_count, changed_count
    )


def _word(
    readers: interpreters.Interpreters, raw: envelopes.RawReceipt
) -> Receipt | LateAnswer | None:
    reader = readers.of_carrier(raw.carrier_id)
    return None if reader is None else reader.read(raw.body)


async def _with_owners(
    connection: Connection,
    batch: Sequence[envelopes.RawReceipt],
    words: Sequence[Receipt | LateAnswer | None],
) -> list[receipts.NewReceipt]:
    """Whose each is. Only an id is asked here; what has none that fits is tried again by `late`."""
    times = [_received_at(raw) for raw in batch]
    asked = [
        (raw.carrier_id, word, received_at)
        for raw, word, received_at in zip(batch, words, times, strict=True)
        if isinstance(word, Receipt)
    ]
    found = iter(await matching.by_id(connection, asked))
    return [
        receipts.NewReceipt(
            raw.receipt_id, raw.carrier_id, received_at, raw.body, word, _owner(raw, word, found)
        )
        for raw, word, received_at in zip(batch, words, times, strict=True)
    ]


def _received_at(raw: envelopes.RawReceipt) -> datetime:
    return datetime.fromtimestamp(raw.received_at_ms / 1000, UTC)


def _owner(
    raw: envelopes.RawReceipt,
    word: Receipt | LateAnswer | None,
    found: Iterator[matching.Owner | None],
) -> matching.Owner | None:
    """Of a receipt the next that was found, if it fits."""
    match word:
        case Receipt():
            owner = next(found)
            if owner is None or owner.fits:
                return owner
            if word.phones:
                # An id used again, or a carrier that does not name the recipient in its receipts.
                _log.warning(
                    "receipt_names_another_phone",
                    receipt_id=str(raw.receipt_id),
                    carrier_id=raw.carrier_id,
                    message_id=str(owner.message_id),
                )
        case LateAnswer():
            return matching.Owner(word.message_id, word.part, alone=False, fits=True)
    return None


def _proofs(new: Sequence[receipts.NewReceipt]) -> list[segments.Evidence]:
    return [
        proof
        for each in new
        if each.owner is not None
        for proof in _proofs_of(each.word, each.owner)
    ]


def _proofs_of(
    word: Receipt | LateAnswer | None, owner: matching.Owner
) -> Sequence[segments.Evidence]:
    match word:
        case Receipt():
            return [
                evidence.evidence_of(
                    owner.message_id,
                    part,
                    word.state,
                    word.code,
                    reason=word.reason,
                    alone=owner.alone,
                )
                for part in (owner.part, *owner.beside)
            ]
        case LateAnswer():
            proof = evidence.evidence_of_answer(word)
            return [] if proof is None else [proof]
        case None:
            return []


async def keep_unread(connection: Connection, raw: envelopes.RawReceipt) -> None:
    """Store a receipt without a look inside: something in it cannot be applied."""
    new = receipts.NewReceipt(
        raw.receipt_id, raw.carrier_id, _received_at(raw), raw.body, word=None, owner=None
    )
    await receipts.insert(connection, [new])
