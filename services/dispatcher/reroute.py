"""Messages on another way: what waits for a carrier that is not well, and what one has sent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import prometheus_client
import structlog

from shared.db import connection, reroutes, trail, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.snapshot import Configuration
from shared.rules.standings import Condition
from shared.sms.encoding import Encoding

_log = structlog.get_logger()

PAGE_COUNT = 2_000
_FIRST_ID = UUID(int=0)

_REROUTED = prometheus_client.Counter(
    "sluice_messages_rerouted_total",
    "Messages that were given to another carrier, by the one they were taken from and why.",
    ["carrier", "why"],
)


class _Way(NamedTuple):
    """From one carrier to another."""

    before: int
    after: int


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
                moved_count += await _move(opened, current, waiting, carrier_id)
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
) -> int:
    """Give those to another that may have them and is well; how many they are."""
    ways: dict[UUID, _Way] = {}
    for each in await reroutes.free(opened, waiting) if waiting else ():
        choice = current.route(each.journey, _closed_to(current, each))
        if choice.well and choice.carrier_id not in (None, carrier_id):
            ways[each.journey.message_id] = _Way(carrier_id, choice.carrier_id)
    await _give(opened, current, ways)
    return len(ways)


def _closed_to(current: Configuration, traveller: reroutes.Traveller) -> set[int]:
    """Carriers that have sent it on, and those in whose alphabet its text may take more segments
    than were paid for. UCS-2 is the same everywhere, and what was counted for a smaller alphabet
    than GSM 03.38 fits into that."""
    visited = set(traveller.visited)
    if traveller.encoding == Encoding.UCS2:
        return visited
    fitting = {current.carriers[traveller.carrier_id].repertoire, "gsm7"}
    others = {
        each.carrier_id for each in current.carriers.values() if each.repertoire not in fitting
    }
    return visited | others


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
    ways: dict[UUID, _Way] = {}
    for each in await reroutes.free(opened, open_ids):
        choice = current.route(each.journey, {*_closed_to(current, each), each.carrier_id})
        if choice.carrier_id is not None:
            ways[each.journey.message_id] = _Way(each.carrier_id, choice.carrier_id)
    if ways:
        await reroutes.remember(opened, {each: way.before for each, way in ways.items()})
        await _give(opened, current, ways)
        for way in ways.values():
            _REROUTED.labels(current.carriers[way.before].name, "elsewhere").inc()
    return set(ways) | (submitted_at.keys() - set(open_ids))


async def _give(
    opened: connection.Connection, current: Configuration, ways: Mapping[UUID, _Way]
) -> None:
    if ways:
        await reroutes.give(opened, {each: way.after for each, way in ways.items()})
        await trail.mark(
            opened,
            [
                trail.TrailMark(each, trail.TrailStep.REROUTED, detail=_names(current, way))
                for each, way in ways.items()
            ],
        )


def _names(current: Configuration, way: _Way) -> str:
    return " ".join(current.carriers[carrier_id].name for carrier_id in way)
