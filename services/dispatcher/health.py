"""How carriers fare: counted where their answers come in, judged by one process for all."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import asyncpg
import prometheus_client
import structlog

from services.dispatcher import reroute
from shared.carriers.outcomes import OutcomeKind
from shared.db import connection, standings, watch
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.routes import ANYWHERE
from shared.rules.snapshot import Configuration
from shared.rules.standings import AnswerCounts, CarrierStanding, ReceiptCounts, judge

_log = structlog.get_logger()

WINDOW_SECONDS, STEP_SECONDS, LINK_SECONDS = 30, 5, 3
"""What is judged: answers of so long, as it comes back of so long, and links of so long: each
process tells of them once a second."""
DOWN_SECONDS = 3.0
"""A link that is back sooner is not missed."""
SILENT_SECONDS = 4.0
LOOK_SECONDS_MAX = 2.0
"""Between two looks at lanes, which come every second unless the process, or its machine, stands
still."""
HALTED_SECONDS = 30.0
"""A carrier that does not let us send is left alone for so long; only messages can tell more."""
RECEIPTS_SECONDS = 30.0
"""Between two looks at how receipts come."""
SILENT_COUNT_MIN = 5
"""So many that have had no answer for so long, and nobody else had one either: its links are as
good as down. Fewer are left to their own deadlines."""

_TAKEN, _REFUSED, _FAILED = range(3)
_MEANS = {
    OutcomeKind.ACCEPTED: _TAKEN,
    OutcomeKind.REJECTED: _REFUSED,
    OutcomeKind.ELSEWHERE: _FAILED,
    OutcomeKind.HALTED: _FAILED,
    OutcomeKind.UNAVAILABLE: _FAILED,
    OutcomeKind.LOST: _FAILED,
}
"""What is of the carrier: neither its pace nor a phone that is away says that it is not well."""
_SILENT = frozenset({OutcomeKind.UNAVAILABLE, OutcomeKind.LOST})

_STANDING = prometheus_client.Gauge(
    "sluice_carrier_unwell",
    "1 for a carrier that is sick, down or coming back (trickle), to a country or to all (*).",
    ["carrier", "country", "condition"],
)


class LaneLook(NamedTuple):
    """A carrier's lane at this moment; `in_flight_count` is of messages without an answer."""

    carrier_id: int
    connected: bool
    in_flight_count: int


class Health:
    """What this process has seen of carriers since it last said."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._heard_at: dict[int, float] = {}
        self._looked_at = time.monotonic()
        self._up_at: dict[int, float] = {}
        self._halted_at: dict[int, float] = {}

    def note(self, carrier_id: int, country: str, kind: OutcomeKind) -> None:
        """A segment was answered, or is known not to be."""
        if kind not in _SILENT:
            self._heard_at[carrier_id] = time.monotonic()
        if kind is OutcomeKind.HALTED:
            self._halted_at[carrier_id] = time.monotonic()
        elif kind is OutcomeKind.ACCEPTED:
            self._halted_at.pop(carrier_id, None)
        if (place := _MEANS.get(kind)) is not None:
            self._counts[carrier_id, country][place] += 1

    def take(self, lanes: Iterable[LaneLook]) -> list[standings.CarrierSecond]:
        """What was counted since the last call, a second ago, and how these lanes are."""
        self._excuse_own_silence()
        counted = [
            standings.CarrierSecond(carrier_id, country, *counts)
            for (carrier_id, country), counts in self._counts.items()
        ]
        self._counts.clear()
        for lane in lanes:
            is_up = self._is_linked(lane) and not self._is_silent(lane)
            is_up = is_up and not self._is_halted(lane)
            counted.append(
                standings.CarrierSecond(lane.carrier_id, ANYWHERE, up=is_up, down=not is_up)
            )
        return counted

    def _excuse_own_silence(self) -> None:
        """While this process stood still itself, nobody could be heard."""
        now = time.monotonic()
        still_seconds, self._looked_at = now - self._looked_at, now
        if still_seconds > LOOK_SECONDS_MAX:
            for carrier_id in self._heard_at:
                self._heard_at[carrier_id] += still_seconds

    def _is_linked(self, lane: LaneLook) -> bool:
        now = time.monotonic()
        if lane.connected:
            self._up_at[lane.carrier_id] = now
            return True
        return now - self._up_at.setdefault(lane.carrier_id, now) < DOWN_SECONDS

    def _is_halted(self, lane: LaneLook) -> bool:
        halted_at = self._halted_at.get(lane.carrier_id)
        return halted_at is not None and time.monotonic() - halted_at < HALTED_SECONDS

    def _is_silent(self, lane: LaneLook) -> bool:
        now = time.monotonic()
        if lane.in_flight_count < SILENT_COUNT_MIN:
            self._heard_at[lane.carrier_id] = now
            return False
        return now - self._heard_at.setdefault(lane.carrier_id, now) >= SILENT_SECONDS


class Doctor:
    """Says once a second what this process has seen; and, one process at a time, judges and moves
    what waits for carriers that are not well."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        configured: watch.Watch,
        health: Health,
        looks: Callable[[], Iterable[LaneLook]],
    ) -> None:
        self._pool = pool
        self._configured = configured
        self._health = health
        self._looks = looks
        self._receipts: dict[tuple[int, str], ReceiptCounts] = {}
        self._receipts_at = -math.inf

    async def look_after(self) -> None:
        """One look. What it has counted is lost if it cannot be said: the next second tells."""
        counted = self._health.take(self._looks())
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            await standings.note(opened, counted)
            decided = await self._decide(opened)
        if decided is None:
            _show(self._configured.current)
            return
        if decided:
            await self._configured.refresh()
        _show(self._configured.current)
        await reroute.leave_the_unwell(self._pool, self._configured.current)

    async def _decide(self, opened: connection.Connection) -> bool | None:
        """Whether something has changed; None if another process is at it."""
        async with opened.transaction():
            if not await standings.may_decide(opened):
                return None
            if time.monotonic() - self._receipts_at >= RECEIPTS_SECONDS:
                self._receipts_at = time.monotonic()
                self._receipts = await standings.receipts(opened)
            before = await standings.load(opened)
            fares = await _fares(opened)
            await standings.forget(opened)
            now_seconds = time.time()
            changed: dict[tuple[int, str], CarrierStanding | None] = {}
            for key in {*before, *fares, *self._receipts}:
                window, step = fares.get(key, (AnswerCounts(), AnswerCounts()))
                found = judge(before.get(key), window, step, now_seconds, self._receipts.get(key))
                if found != before.get(key):
                    changed[key] = found
            if changed:
                await standings.change(opened, changed)
        for (carrier_id, country), standing in changed.items():
            _tell(self._configured.current, carrier_id, country, standing)
        return bool(changed)


async def _fares(
    opened: connection.Connection,
) -> dict[tuple[int, str], tuple[AnswerCounts, AnswerCounts]]:
    """What each carrier answered in the window and in the last step, to a country or to all."""
    window = _told(await standings.counts(opened, WINDOW_SECONDS), WINDOW_SECONDS)
    step = _told(await standings.counts(opened, STEP_SECONDS), STEP_SECONDS)
    links = {
        (each.carrier_id, each.country): each
        for each in await standings.counts(opened, LINK_SECONDS)
    }
    return {
        key: (counts, _with_links(step.get(key, AnswerCounts()), links.get(key)))
        for key, counts in window.items()
    }


def _with_links(counts: AnswerCounts, links: standings.CarrierSecond | None) -> AnswerCounts:
    return (
        counts._replace(up=0, down=0)
        if links is None
        else counts._replace(up=links.up, down=links.down)
    )


def _told(
    counted: Iterable[standings.CarrierSecond], seconds: int
) -> dict[tuple[int, str], AnswerCounts]:
    """By carrier and country; under `ANYWHERE` what a carrier answered to all of them."""
    found: defaultdict[tuple[int, str], AnswerCounts] = defaultdict(AnswerCounts)
    taken: defaultdict[str, int] = defaultdict(int)
    for each in counted:
        for country in {each.country, ANYWHERE}:
            so_far = found[each.carrier_id, country]
            found[each.carrier_id, country] = so_far._replace(
                taken=so_far.taken + each.taken,
                refused=so_far.refused + each.refused,
                failed=so_far.failed + each.failed,
                up=so_far.up + each.up,
                down=so_far.down + each.down,
            )
            taken[country] += each.taken
    return {
        key: counts._replace(per_second=taken[key[1]] / seconds) for key, counts in found.items()
    }


def _tell(
    current: Configuration, carrier_id: int, country: str, standing: CarrierStanding | None
) -> None:
    carrier = current.carriers.get(carrier_id)
    name = str(carrier_id) if carrier is None else carrier.name
    if standing is None:
        _log.info("carrier_well", carrier=name, country=country)
    else:
        _log.warning(
            "carrier_unwell",
            carrier=name,
            country=country,
            condition=standing.condition,
            share=round(standing.share, 4),
            cause=standing.cause,
        )


def _show(current: Configuration) -> None:
    _STANDING.clear()
    for (carrier_id, country), standing in current.standings.items():
        if (carrier := current.carriers.get(carrier_id)) is not None:
            _STANDING.labels(carrier.name, country, standing.condition).set(1)
