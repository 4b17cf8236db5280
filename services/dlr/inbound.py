"""What phones send: kept when a carrier calls; and parts joined, wherever they came in: whole ones
at once, others when their time is over."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from services.dlr import metrics
from shared.access.seals import Seals
from shared.db import connection, inbound, inbound_parts, pool
from shared.runtime import ids, lifecycle
from shared.sms.inbound import InboundPart, join, sort_out

SWEEP_SECONDS = 0.2
FORGET_SECONDS = 600.0
PAGE_COUNT = 200


async def keep(
    database: asyncpg.Pool, seals: Seals, carrier_id: int, parts: Sequence[InboundPart]
) -> None:
    """Store what a carrier's call has brought, and nothing that was stored before. Raises what an
    unreachable database raises."""
    arrivals = [inbound.Arrival(ids.uuid7(), carrier_id, part) for part in parts]
    async with (
        database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened,
        opened.transaction(),
    ):
        await inbound.store(opened, seals, arrivals, inbound.REPEAT_UNHEARD_SECONDS)


async def run(database: asyncpg.Pool, seals: Seals, wait_seconds: float) -> None:
    """Sweep until cancelled; any number of processes may do it side by side."""

    async def join_inbound() -> None:
        await sweep(database, seals, wait_seconds)

    await lifecycle.every(SWEEP_SECONDS, join_inbound, connection.TRANSIENT)


async def forget(database: asyncpg.Pool) -> None:
    """Forget, until cancelled, deliveries that come again no more."""

    async def forget_seen() -> None:
        await inbound.forget_seen(database)

    await lifecycle.every(FORGET_SECONDS, forget_seen, connection.TRANSIENT)


async def sweep(database: asyncpg.Pool, seals: Seals, wait_seconds: float) -> None:
    """Hand on every message that is whole, and what has come of those whose first part has waited
    for `wait_seconds`."""
    while await _sweep_page(database, seals, wait_seconds) >= PAGE_COUNT:
        pass


async def _sweep_page(database: asyncpg.Pool, seals: Seals, wait_seconds: float) -> int:
    """Taking the parts out and keeping what they make is one transaction, so that nobody's death
    loses or doubles any of it."""
    async with (
        database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened,
        opened.transaction(),
    ):
        taken = await inbound_parts.take_due(opened, seals, PAGE_COUNT, wait_seconds)
        if not taken:
            return 0
        messages: list[inbound.NewInbound] = []
        rest: list[inbound_parts.NewPart] = []
        for waiting in taken:
            for places in sort_out(waiting.total, (piece.number for piece in waiting.pieces)):
                if _is_over(waiting, places, wait_seconds):
                    messages.append(_message(waiting, places))
                else:
                    rest += _parts(waiting, places)
        await inbound_parts.keep(opened, seals, rest)
        await inbound.insert(opened, seals, messages)
    metrics.INBOUND.labels("whole").inc(sum(not each.missing for each in messages))
    metrics.INBOUND.labels("incomplete").inc(sum(bool(each.missing) for each in messages))
    return len(taken)


def _is_over(
    waiting: inbound_parts.InboundWaiting, places: Sequence[int], wait_seconds: float
) -> bool:
    """Whether nothing more can come to these parts: all are there, or the next message of the same
    reference has begun, or they have waited long enough."""
    began_at = min(waiting.received_at[place] for place in places)
    return (
        len(places) == waiting.total
        or max(places) < len(waiting.pieces) - 1
        or (waiting.taken_at - began_at).total_seconds() >= wait_seconds
    )


def _message(waiting: inbound_parts.InboundWaiting, places: Sequence[int]) -> inbound.NewInbound:
    return inbound.new_inbound(
        ids.uuid7(),
        (waiting.carrier_id, waiting.sender, waiting.recipient),
        join(waiting.total, [waiting.pieces[place] for place in places]),
        waiting.total,
        min(waiting.received_at[place] for place in places),
    )


def _parts(
    waiting: inbound_parts.InboundWaiting, places: Sequence[int]
) -> list[inbound_parts.NewPart]:
    return [
        inbound_parts.NewPart(
            waiting.carrier_id,
            waiting.sender,
            waiting.recipient,
            waiting.reference,
            waiting.reference_bits,
            waiting.total,
            piece.number,
            piece.alphabet,
            piece.udh,
            piece.payload,
            waiting.received_at[place],
        )
        for place, piece in ((place, waiting.pieces[place]) for place in places)
    ]
