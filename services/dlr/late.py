"""Receipts that came before their segment's submit was answered, matched once it is."""

from __future__ import annotations

import asyncpg

from services.dlr import evidence, metrics
from shared.db import connection, pool, receipts, segments
from shared.runtime import lifecycle
from shared.sms.receipts import ReceiptState

SWEEP_SECONDS = 0.2
PAGE_COUNT = 500


async def run(database: asyncpg.Pool) -> None:
    """Sweep until cancelled; any number of processes may do it side by side."""

    async def match_late_receipts() -> None:
        await sweep(database)

    await lifecycle.every(SWEEP_SECONDS, match_late_receipts, connection.TRANSIENT)


async def sweep(database: asyncpg.Pool) -> None:
    """Try every receipt that is due once."""
    while await _sweep_page(database) == PAGE_COUNT:
        pass


async def _sweep_page(database: asyncpg.Pool) -> int:
    async with (
        database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened,
        opened.transaction(),
    ):
        due = await receipts.take_unmatched(opened, PAGE_COUNT)
        if not due:
            return 0
        owners = await segments.of_carrier(
            opened, [(receipt.carrier_id, receipt.carrier_message_id) for receipt in due]
        )
        pairs = list(zip(due, owners, strict=True))
        matches = [(receipt, owner) for receipt, owner in pairs if owner is not None]
        await receipts.postpone(opened, [each.receipt_id for each, owner in pairs if owner is None])
        await receipts.set_matched(opened, [(each.receipt_id, *owner) for each, owner in matches])
        changed_count = await segments.settle(
            opened,
            [
                evidence.evidence_of(*owner, ReceiptState(receipt.state), receipt.code)
                for receipt, owner in matches
            ],
        )
    metrics.LATE_MATCHES.inc(len(matches))
    metrics.STATUS_CHANGES.inc(changed_count)
    return len(due)
