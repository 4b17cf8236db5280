"""Messages on another way: what waits for a carrier that is not well, and what one has sent on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import prometheus_client
import structlog

from shared.db import connection, reroutes, trail, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.snapshot import Configuration
from shared.rules.standings import Condition

_log = structlog.get_logger()

PAGE_COUNT = 2_000
_FIRST_ID = UUID(int=0)

_REROUTED = prometheus_client.Counter(
    "sluice_messages_rerouted_total",
    "Messages that were given to another carrier, by the one they were taken from and why.",
    ["carrier", "why"],
)


async def leave_the_unwell(pool: asyncpg.Pool, current: Configuration) -> None:
    """Give what waits for carriers that are sick or down to the next that are well; where none is,
    it waits where it is."""
    if not current.reroutes:
        return
    for (carrier_id, country), standing in sorted(current.standings.items()):
        if standing.condition is Condition.TRICKLE or carrier_id not in current.carriers:
            continue
        moved_count, last = 0, _FIRST_ID
        while True:
            async with pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
                waiting = await reroutes.lock_waiting(opened, carrier_id, country, last, PAGE_COUNT)
                moved_count += len(await _move(opened, current, waiting, carrier_id))
            if len(waiting) < PAGE_COUNT:
                break
            last = waiting[-1]
        if moved_count:
            name = current.carriers[carrier_id].name
            _REROUTED.labels(name, standing.condition).inc(moved_count)
            _log.warning("rerouted", carrier=name, country=country, message_count=moved_count)


async def _move(
    opened: connection.Connection,
    current: Configuration,
    waiting: Sequence[UUID],
    carrier_id: int,
) -> dict[UUID, int]:
    """Messages → the carriers that are well and have them now."""
    carriers: dict[UUID, int] = {}
    for each in await reroutes.free(opened, waiting) if waiting else ():
        choice = current.route(each.journey, each.visited)
        if choice.well and choice.carrier_id not in (None, carrier_id):
            carriers[each.journey.message_id] = choice.carrier_id
    await _give(opened, current, carriers)
    return carriers


async def elsewhere(
    opened: connection.Connection, current: Configuration, messages: Sequence[work.Claimed]
) -> set[UUID]:
    """Their carrier has sent these messages on, before it took anything of them, and the caller
    records it in this transaction: those that wait for another now, where they have not been yet.
    It is not asked whether that one is well, for the one they are at will not take them. Of what is
    recorded already, and only repeated, it was decided then."""
    if not current.reroutes:
        return set()
    submitted_at = {each.message_id: each.submitted_at for each in messages}
    open_ids = await reroutes.lock_submitted(opened, submitted_at)
    carriers: dict[UUID, int] = {}
    left: dict[UUID, int] = {}
    for each in await reroutes.free(opened, open_ids):
        choice = current.route(each.journey, {*each.visited, each.carrier_id})
        if choice.carrier_id is not None:
            carriers[each.journey.message_id] = choice.carrier_id
            left[each.journey.message_id] = each.carrier_id
    if left:
        await reroutes.remember(opened, left)
        await _give(opened, current, carriers)
        for carrier_id in left.values():
            _REROUTED.labels(current.carriers[carrier_id].name, "elsewhere").inc()
    return set(carriers) | (submitted_at.keys() - set(open_ids))


async def _give(
    opened: connection.Connection, current: Configuration, carriers: dict[UUID, int]
) -> None:
    if carriers:
        await reroutes.give(opened, carriers)
        await trail.mark(
            opened,
            [
                trail.TrailMark(
                    message_id,
                    trail.TrailStep.REROUTED,
                    detail=current.carriers[carrier_id].name,
                )
                for message_id, carrier_id in carriers.items()
            ],
        )
