"""Receipts whose segment was not found at once: matched when its answer is recorded, or when it is
the only segment in doubt that they can mean."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.dlr import doubts, evidence, metrics
from shared.db import connection, matching, pool, receipts, segments
from shared.runtime import lifecycle

SWEEP_SECONDS = 0.2
PAGE_COUNT = 500

Match = tuple[receipts.Unmatched, segments.Evidence]


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
        named, others = await _match_by_id(opened, due)
        matches = [*named, *await _match_doubts(opened, others)]
        matched = {receipt.receipt_id for receipt, _ in matches}
        await receipts.postpone(
            opened, [each.receipt_id for each in due if each.receipt_id not in matched]
        )
        # A receipt of a whole message is kept with one of its parts.
        ends = {
            each.receipt_id: (each.receipt_id, proof.message_id, proof.part)
            for each, proof in matches
        }
        await receipts.set_matched(opened, list(ends.values()))
        changed_count = await segments.settle(opened, [proof for _, proof in matches])
    metrics.LATE_MATCHES.inc(len(matched))
    metrics.STATUS_CHANGES.inc(changed_count)
    return len(due)


async def _match_by_id(
    opened: connection.Connection, due: Sequence[receipts.Unmatched]
) -> tuple[list[Match], list[receipts.Unmatched]]:
    """(those whose id names their segment, the others)."""
    asked = [(each.carrier_id, each.said, each.received_at) for each in due]
    owners = await matching.by_id(opened, asked)
    matches: list[Match] = []
    others: list[receipts.Unmatched] = []
    for each, owner in zip(due, owners, strict=True):
        if owner is None or not owner.fits:
            others.append(each)
        else:
            parts = (*owner.beside, owner.part)
            matches += [(each, _proof(each, owner.message_id, part)) for part in parts]
    return matches, others


async def _match_doubts(
    opened: connection.Connection, due: Sequence[receipts.Unmatched]
) -> list[Match]:
    """Those that can mean one segment only of those whose id nobody knows. Where the carrier does
    not echo our reference, nobody else may claim the receipt or the segment."""
    asked = [each for each in due if each.said.phones and not each.said.by_id_only]
    if not asked or not await matching.take_turn(opened):
        return []
    candidates = await matching.nameless(opened, [each.clue for each in asked])
    found = [
        (each, meant)
        for each, nameless in zip(asked, candidates, strict=True)
        if (
            meant := doubts.meant(
                nameless, each.said.submit_date, echoed=each.said.reference is not None
            )
        )
    ]
    barred = await _barred(opened, found)
    # One id a message at a time: the next finds the parts that are left.
    claims: dict[UUID, str] = {}
    return [
        (each, _proof(each, first.message_id, first.part, None if first.known else name))
        for each, (first, *_) in found
        if each.receipt_id not in barred
        and claims.setdefault(first.message_id, name := each.said.carrier_message_id) == name
    ]


async def _barred(
    opened: connection.Connection,
    found: Sequence[tuple[receipts.Unmatched, Sequence[matching.Nameless]]],
) -> set[UUID]:
    """Receipts without an echo that others may claim their segment or be the owners of."""
    unsure = [(each, meant) for each, meant in found if each.said.reference is None]
    if not unsure:
        return set()
    rivals = await matching.rivals(opened, [each.clue for each, _ in unsure])
    return {
        each.receipt_id
        for (each, meant), rival in zip(unsure, rivals, strict=True)
        if rival.in_hand or rival.receipt_count >= len(meant)
    }


def _proof(
    each: receipts.Unmatched, message_id: UUID, part: int, carrier_message_id: str | None = None
) -> segments.Evidence:
    said = each.said
    return evidence.evidence_of(
        message_id, part, said.state, said.code, carrier_message_id, reason=said.reason
    )
