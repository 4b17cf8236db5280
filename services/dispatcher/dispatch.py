"""THE use case of the dispatcher: permit, then intent; what has neither is parked, ended or put
back.

Every step that fails leaves the messages where they were: a permit that was taken in vain comes
back after its window, and a delivery that is not settled comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import prometheus_client
import structlog

from services.dispatcher import claim, park
from services.dispatcher.health import Health
from services.dispatcher.unlimited import Unlimited
from shared.access.seals import Seals
from shared.broker import envelopes
from shared.db import connection, watch, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import Limiter, Never, Permit, Wait
from shared.limits.pace import Pace
from shared.runtime import redis_link

_log = structlog.get_logger()


class LineUnknown(Exception):
    """A message's line is newer than the configuration this process has read."""


FAULTS = (
    redis_link.LimiterUnavailable,
    claim.ClocksApart,
    claim.Unheard,
    LineUnknown,
    *connection.TRANSIENT,
)
"""What makes a batch wait a moment and be tried again."""
_CAUSES = {
    redis_link.LimiterUnavailable: "limiter_unavailable",
    claim.ClocksApart: "clocks_apart",
    claim.Unheard: "commit_unheard",
    LineUnknown: "line_unknown",
}

_DELAYED = prometheus_client.Counter(
    "sluice_dispatch_delayed_total",
    "Batches that waited a moment to be tried again, by what they waited for.",
    ["cause"],
)
_PARKED = prometheus_client.Counter("sluice_messages_parked_total", "Messages parked.")


@dataclass(slots=True)
class Desk:
    """What every lane of a dispatcher shares."""

    pool: asyncpg.Pool
    configured: watch.Watch
    worker_id: UUID
    limiter: Limiter
    pace: Pace
    seals: Seals
    health: Health = field(default_factory=Health)
    unheard: dict[connection.Transaction, Sequence[claim.Granted]] = field(default_factory=dict)
    """Claims that may have been committed unheard; `unheard.put_back` asks and undoes them."""
    unlimited: Unlimited = field(init=False)

    def __post_init__(self) -> None:
        self.unlimited = Unlimited(self.pool, self.worker_id)


@dataclass(slots=True)
class Dispatched:
    """Where the messages of a batch went, by their ids."""

    to_send: list[tuple[work.Claimed, Permit]] = field(default_factory=list)
    at_rest: set[UUID] = field(default_factory=set)
    fault: BaseException | None = None


def count_delay(fault: BaseException) -> None:
    """One of FAULTS lets a batch wait: "database", unless it has a word of its own."""
    _DELAYED.labels(_CAUSES.get(type(fault), "database")).inc()


Claims = Sequence[tuple[work.Claimed, Permit]]


def _tell_nobody(_claims: Claims) -> None:
    """For who waits for the whole batch."""


async def dispatch(
    desk: Desk,
    carrier_id: int,
    items: Sequence[envelopes.WorkItem],
    on_claimed: Callable[[Claims], None] = _tell_nobody,
) -> Dispatched:
    """Permits for a carrier's batch, and the committed intent for those that got one. Messages in
    neither `to_send` nor `at_rest` are to be tried again. Never raises one of FAULTS: see `fault`.

    `on_claimed` hears of `to_send` as soon as the intent is committed: who may go need not wait
    until others of the batch are parked, behind whoever holds their line at the moment.
    """
    done = Dispatched()
    current = desk.configured.current
    strangers = [item for item in items if item.line_id not in current.lines]
    try:
        if strangers:
            items = [item for item in items if item.line_id in current.lines]
            await _set_aside(desk, strangers, done)
        verdicts = await desk.limiter.take(current, items) if items else []
        granted = [
            (item, verdict)
            for item, verdict in zip(items, verdicts, strict=True)
            if isinstance(verdict, Permit)
        ]
        await _claim(desk, carrier_id, granted, done, on_claimed)
        await _without_permits(desk, items, verdicts, done)
    except FAULTS as error:
        done.fault = error
    return done


async def _set_aside(desk: Desk, strangers: Sequence[envelopes.WorkItem], done: Dispatched) -> None:
    """Messages of lines this process does not know: those that PostgreSQL does not know either are
    at rest, the others are tried again, by when the configuration has been read."""
    async with desk.pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
        waiting = await work.still_waiting(opened, [item.message_id for item in strangers])
    done.at_rest.update(item.message_id for item in strangers if item.message_id not in waiting)
    if waiting:
        done.fault = LineUnknown()


async def _claim(
    desk: Desk,
    carrier_id: int,
    granted: Sequence[claim.Granted],
    done: Dispatched,
    on_claimed: Callable[[Claims], None],
) -> None:
    """Commit the intent. Messages that this worker cannot claim are at rest: somebody else owns
    them, or a sweep will, or another carrier's queue has them."""
    newest = max((permit.epoch for _, permit in granted), default=0)
    usable: list[claim.Granted] = []
    useless: list[claim.Granted] = []
    for each in granted:
        permit = each[1]
        (usable if permit.fresh and permit.epoch == newest else useless).append(each)
    await claim.give_back(desk.limiter, map(_unused, useless))
    if not usable:
        return
    try:
        live = await claim.claim(desk.pool, desk.seals, desk.worker_id, carrier_id, usable)
    except claim.StaleEpoch:
        desk.limiter.forget_epoch()
        return
    except claim.Unheard as error:
        desk.unheard[error.transaction] = usable
        raise
    except (claim.ClocksApart, *connection.TRANSIENT):
        # Nothing was claimed; trying on would else eat up the limits of lines with few tokens.
        await claim.give_back(desk.limiter, map(_unused, usable))
        raise
    left = {each[0].message_id: each for each in usable}
    for message in live:
        done.to_send.append((message, left.pop(message.message_id)[1]))
    on_claimed(done.to_send)
    desk.unlimited.add((message, permit, permit.segment_count) for message, permit in done.to_send)
    done.at_rest.update(left)
    await claim.give_back(desk.limiter, map(_unused, left.values()))


def _unused(granted: claim.Granted) -> claim.Unused:
    item, permit = granted
    return claim.Unused(item, permit, permit.segment_count)


async def _without_permits(
    desk: Desk,
    items: Sequence[envelopes.WorkItem],
    verdicts: Sequence[Permit | Wait | Never],
    done: Dispatched,
) -> None:
    """Park what must wait for its line and end what no limit would ever let through."""
    waiting: list[tuple[envelopes.WorkItem, Wait]] = []
    never: list[tuple[envelopes.WorkItem, Never]] = []
    for item, verdict in zip(items, verdicts, strict=True):
        if isinstance(verdict, Wait):
            waiting.append((item, verdict))
        elif isinstance(verdict, Never):
            never.append((item, verdict))
    if waiting:
        await park.park(desk.pool, waiting)
        done.at_rest.update(item.message_id for item, _ in waiting)
        _PARKED.inc(len(waiting))
    if never:
        await park.fail(desk.pool, never, "longer than a limit of its line allows")
        done.at_rest.update(item.message_id for item, _ in never)
