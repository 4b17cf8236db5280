"""A batch of raw receipts → stored receipts, moved segments, statuses, events: one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.dlr import evidence, interpreters
from shared.broker import envelopes
from shared.db import receipts, segments
from shared.db.connection import Connection
from shared.sms.receipts import Receipt


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
) -> Tally:
    """Store the batch and let what it says act. Applying it again changes nothing.

    A receipt nobody can read is kept as it is; one whose segment is not known (yet) is kept to be
    tried again.
    """
    # In the order of ids, so that two processes with the same receipts never wait in a circle.
    ordered = sorted(batch, key=lambda raw: raw.receipt_id)
    read = [_read(readers, raw) for raw in ordered]
    named = [
        (raw.carrier_id, receipt.carrier_message_id)
        for raw, receipt in zip(ordered, read, strict=True)
        if receipt is not None
    ]
    async with connection.transaction():
        found = iter(await segments.of_carrier(connection, named) if named else ())
        owners = [None if receipt is None else next(found) for receipt in read]
        await receipts.insert(
            connection,
            [
                _stored(raw, receipt, owner)
                for raw, receipt, owner in zip(ordered, read, owners, strict=True)
            ],
        )
        proofs = [
            evidence.evidence_of(*owner, receipt.state, receipt.code)
            for receipt, owner in zip(read, owners, strict=True)
            if receipt is not None and owner is not None
        ]
        # Last, for it locks the heads of the event logs until the commit.
        changed_count = await segments.settle(connection, proofs)
    return Tally(len(proofs), len(named) - len(proofs), len(read) - len(named), changed_count)


def _read(readers: interpreters.Interpreters, raw: envelopes.RawReceipt) -> Receipt | None:
    reader = readers.of_carrier(raw.carrier_id)
    return None if reader is None else reader.read(raw.body)


def _stored(
    raw: envelopes.RawReceipt, receipt: Receipt | None, owner: tuple[UUID, int] | None
) -> receipts.NewReceipt:
    message_id, part = owner or (None, None)
    return receipts.NewReceipt(
        raw.receipt_id,
        raw.carrier_id,
        carrier_message_id="" if receipt is None else receipt.carrier_message_id,
        state=receipts.UNREADABLE if receipt is None else receipt.state,
        code="" if receipt is None else receipt.code,
        raw=raw.body,
        received_at=datetime.fromtimestamp(raw.received_at_ms / 1000, UTC),
        message_id=message_id,
        part=part,
        retry=receipt is not None and owner is None,
    )


async def keep_unread(connection: Connection, raw: envelopes.RawReceipt) -> None:
    """Store a receipt without a look inside: something in it cannot be applied."""
    await receipts.insert(connection, [_stored(raw, None, None)])
