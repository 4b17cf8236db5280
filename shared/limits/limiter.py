"""Permits for messages: which limits a message meets, and what to do when Redis has lost its
memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import structlog

from shared.broker.envelopes import WorkItem
from shared.db import connection, limits, parking
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits import permits
from shared.rules.lines import Limits
from shared.rules.snapshot import Configuration
from shared.runtime import redis_link

_log = structlog.get_logger()

PERMIT_AGE_SECONDS = permits.PERMIT_AGE_LIMIT_MS / 1000
SCOPE_COUNT_MAX = 10_000
"""Lines, and accounts by country, whose scopes are remembered: some three megabytes."""
_LINE = "line:"
REBUILD_COUNT_MAX = 5
"""Tries to get a whole answer while epochs change; then the limiter counts as unavailable."""


class Permit(NamedTuple):
    """Leave to send a message's segments now, and only for PERMIT_AGE_SECONDS."""

    epoch: int
    granted_at_ms: int
    taken_monotonic: float
    scopes: tuple[str, ...]
    segment_count: int

    @property
    def fresh(self) -> bool:
        """Whether it may still be used."""
        return time.monotonic() - self.taken_monotonic < PERMIT_AGE_SECONDS

    def in_time(self, began_monotonic: float, began_at: datetime) -> bool:
        """Whether Redis and PostgreSQL agree about the time: a transaction that this process began
        at `began_monotonic` began at `began_at` by PostgreSQL's clock, and by Redis' as much later
        than this was granted as it is old by our own."""
        lag_ms = began_at.timestamp() * 1000 - self.granted_at_ms
        age_ms = (began_monotonic - self.taken_monotonic) * 1000
        return -permits.CLOCKS_APART_MS <= lag_ms <= age_ms + permits.CLOCKS_APART_MS

    @property
    def line_id(self) -> int:
        """The line that is charged: of a number that several accounts have, its first."""
        return int(self.scopes[0].removeprefix(_LINE))

    @property
    def minute(self) -> int:
        """The minute since 1970, by Redis' clock, that its segments are charged to."""
        return self.granted_at_ms // 60_000


class FullBucket(NamedTuple):
    """A limit as a trace tells it: whose it is ("line", "country", "account_country"), and its
    window by its number in `permits.WINDOWS`; 0: behind others of the line, whose turn it is."""

    scope: str = "line"
    window: int = 0

    def __str__(self) -> str:
        return f"{self.scope} {permits.WINDOWS[self.window]}".rstrip()


class Wait(NamedTuple):
    """No permit: enough tokens return to the bucket at `ready_at_ms`, by Redis' clock."""

    ready_at_ms: int
    bucket: FullBucket = FullBucket()

    @property
    def by_line(self) -> bool:
        """Whether the line waits, and not only its messages to a country."""
        return self.bucket.scope == "line"


class Room(NamedTuple):
    """How many segments could be taken at `at_ms`, by Redis' clock."""

    segments: int
    at_ms: int


class Never(NamedTuple):
    """No permit, and no time will bring one: more segments than the bucket holds at all."""

    bucket: FullBucket = FullBucket()


def scope_names(line_id: int, account_id: int, country: str) -> tuple[str, str, str]:
    """Every scope a message is charged to, by its `limit_line`: also those without a limit today,
    so that a limit set tomorrow knows what was sent."""
    return f"{_LINE}{line_id}", *country_names(account_id, country)


def country_names(account_id: int, country: str) -> tuple[str, str]:
    """Those of a message's scopes that are not its line's."""
    return f"country:{country}", f"country:{account_id}:{country}"


def scopes_of(
    current: Configuration, line_id: int, account_id: int, country: str
) -> tuple[permits.Scope, ...]:
    """Every limit a message meets now, its line's first."""
    return _of_line(current, line_id) + _of_country(current, account_id, country)


def _of_line(current: Configuration, line_id: int) -> tuple[permits.Scope, ...]:
    limit_line = current.limit_line(line_id)
    traits = current.lines.traits_of(limit_line)
    if traits is None:
        raise LookupError(f"there is no line {limit_line}")
    return (_scope(f"{_LINE}{limit_line}", traits.limits, traits.second_limit),)


def _of_country(current: Configuration, account_id: int, country: str) -> tuple[permits.Scope, ...]:
    names = country_names(account_id, country)
    found = (current.country_limits.get((whose, country)) for whose in (None, account_id))
    pairs = zip(names, found, strict=True)
    return tuple(_scope(name, limits) for name, limits in pairs if limits is not None)


def _scope(name: str, limit: Limits, second: int | None = None) -> permits.Scope:
    return permits.Scope(
        name,
        permits.UNLIMITED if limit.hour is None else limit.hour,
        permits.UNLIMITED if limit.day is None else limit.day,
        permits.UNLIMITED if limit.month is None else limit.month,
        second,
    )


class Limiter:
    """Takes permits from Redis and fills Redis from PostgreSQL when it does not know (law 6)."""

    def __init__(self, pool: asyncpg.Pool, taking: permits.Permits) -> None:
        self._pool = pool
        self._permits = taking
        self._epoch: int | None = None
        self._recovering = asyncio.Lock()
        self._of_lines: dict[int, tuple[permits.Scope, ...]] = {}
        self._of_places: dict[tuple[int, str], tuple[permits.Scope, ...]] = {}
        self._version = 0
        self._returned: set[int] = set()

    async def take(
        self, current: Configuration, items: Sequence[WorkItem]
    ) -> list[Permit | Wait | Never]:
        """One verdict per message, in one round trip unless something must be rebuilt.

        Raises LimiterUnavailable: then nothing may be sent.
        """
        requests = [
            permits.Request(self._known_scopes(current, item), item.segment_count, item.bypass_gate)
            for item in items
        ]
        results: list[Permit | Wait | Never | None] = [None] * len(items)
        try:
            for _ in range(REBUILD_COUNT_MAX):
                places = [place for place, result in enumerate(results) if result is None]
                if not places:
                    break
                await self._take_once(requests, places, results)
            _check_whole(results)
        except (redis_link.LimiterUnavailable, *connection.TRANSIENT):
            for result in results:
                if isinstance(result, Permit):
                    await self.give_back(result)
            raise
        return [result for result in results if result is not None]

    def _known_scopes(self, current: Configuration, item: WorkItem) -> tuple[permits.Scope, ...]:
        """The message's scopes: its line's and its country's, each made once per configuration."""
        count = len(self._of_lines) + len(self._of_places)
        if self._version != current.version or count > SCOPE_COUNT_MAX:
            self._version = current.version
            self._of_lines.clear()
            self._of_places.clear()
        of_line = self._of_lines.get(item.line_id)
        if of_line is None:
            of_line = self._of_lines[item.line_id] = _of_line(current, item.line_id)
        place = (item.account_id, item.country)
        of_place = self._of_places.get(place)
        if of_place is None:
            of_place = self._of_places[place] = _of_country(current, *place)
        return of_line + of_place if of_place else of_line

    async def _take_once(
        self,
        requests: Sequence[permits.Request],
        places: Sequence[int],
        results: list[Permit | Wait | Never | None],
    ) -> None:
        epoch = await self._known_epoch()
        before = time.monotonic()
        try:
            verdicts = await self._permits.take(epoch, [requests[place] for place in places])
        except permits.EpochLost as lost:
            await self._recover(epoch, lost)
            return
        unknown: set[str] = set()
        for place, verdict in zip(places, verdicts, strict=True):
            if verdict.answer is permits.Answer.UNKNOWN:
                unknown.update(verdict.scopes)
            else:
                results[place] = _result(requests[place], verdict, epoch, before)
        if unknown:
            await self._fill(epoch, sorted(unknown))

    async def peek(
        self, current: Configuration, heads: Sequence[parking.Head]
    ) -> list[Room | Wait | Never]:
        """For each line how many segments could be taken now for messages such as its head, or from
        when on the head could go. Raises LimiterUnavailable."""
        groups = [scopes_of(current, *head[:3]) for head in heads]
        results: list[Room | Wait | Never | None] = [None] * len(heads)
        for _ in range(REBUILD_COUNT_MAX):
            places = [place for place, result in enumerate(results) if result is None]
            if not places:
                break
            await self._peek_once(heads, groups, places, results)
        _check_whole(results)
        return [result for result in results if result is not None]

    async def _peek_once(
        self,
        heads: Sequence[parking.Head],
        groups: Sequence[tuple[permits.Scope, ...]],
        places: Sequence[int],
        results: list[Room | Wait | Never | None],
    ) -> None:
        epoch = await self._known_epoch()
        try:
            verdicts = await self._permits.peek(
                epoch,
                [groups[place] for place in places],
                [heads[place].segment_count for place in places],
            )
        except permits.EpochLost as lost:
            await self._recover(epoch, lost)
            return
        unknown: set[str] = set()
        for place, verdict in zip(places, verdicts, strict=True):
            if verdict.answer is permits.Answer.UNKNOWN:
                unknown.update(verdict.scopes)
            elif verdict.answer is permits.Answer.OPEN:
                results[place] = Room(verdict.segments, verdict.at_ms)
            elif verdict.answer is permits.Answer.NEVER:
                results[place] = Never(_bucket(verdict))
            else:
                results[place] = Wait(verdict.at_ms, _bucket(verdict))
        if unknown:
            await self._fill(epoch, sorted(unknown))

    async def give_back(self, permit: Permit) -> None:
        """Return a permit that is proved unused; a failure only wastes its tokens."""
        try:
            await self._permits.give_back(
                permit.epoch, permit.scopes, permit.segment_count, permit.granted_at_ms
            )
        except (permits.EpochLost, redis_link.LimiterUnavailable) as error:
            _log.info("permit_not_returned", error=type(error).__name__)
        else:
            self._returned.add(permit.line_id)

    def take_returned(self) -> set[int]:
        """Lines that have got tokens back since the last call: who waits there was told a time that
        no longer holds."""
        returned, self._returned = self._returned, set()
        return returned

    async def set_gates(
        self, times_ms: Mapping[int, int], buckets: Mapping[int, FullBucket] | None = None
    ) -> None:
        """Let newcomers of these lines join behind what is parked there until these times; 0:
        nothing is. `buckets` are what lines wait for, as far as it is one of their own. A failure
        only lets them in two seconds after the time named last."""
        try:
            await self._permits.set_gates(
                await self._known_epoch(),
                {f"{_LINE}{line_id}": time_ms for line_id, time_ms in times_ms.items()},
                {f"{_LINE}{line_id}": bucket.window for line_id, bucket in (buckets or {}).items()},
            )
        except (permits.EpochLost, redis_link.LimiterUnavailable) as error:
            _log.info("gates_not_set", error=type(error).__name__)

    async def _known_epoch(self) -> int:
        if self._epoch is None:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                self._epoch = await limits.epoch(opened)
        return self._epoch

    def forget_epoch(self) -> None:
        """PostgreSQL has another epoch than permits were given under: ask it again."""
        self._epoch = None

    async def _recover(self, asked: int, lost: permits.EpochLost) -> None:
        """Redis holds another epoch than we asked under. One that PostgreSQL knows as the newest is
        followed; in any other case Redis has lost its memory, or somebody else is making it anew,
        and we make an epoch of our own: two at once cost a round trip, a shared one could outlive a
        wipe."""
        async with self._recovering:
            if self._epoch != asked:
                return
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                known = await limits.epoch(opened)
                if lost.held != known:
                    async with opened.transaction():
                        known = await limits.new_epoch(opened, lost.stored)
            if lost.held != known:
                _log.warning("limiter_rebuilding", epoch=known, held=lost.held)
                known = await self._permits.install_epoch(known)
            self._epoch = known

    async def _fill(self, epoch: int, scopes: Sequence[str]) -> None:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            used = await limits.usage(opened, scopes)
        try:
            await self._permits.fill(
                epoch,
                {
                    scope: [(minute * 60_000, count) for minute, count in minutes]
                    for scope, minutes in used.items()
                },
            )
        except permits.EpochLost as lost:
            await self._recover(epoch, lost)


def _result(
    request: permits.Request, verdict: permits.Verdict, epoch: int, before: float
) -> Permit | Wait | Never:
    if verdict.answer is permits.Answer.GRANTED:
        return Permit(
            epoch,
            verdict.at_ms,
            before,
            tuple(scope.name for scope in request.scopes),
            request.segments,
        )
    if verdict.answer is permits.Answer.NEVER:
        return Never(_bucket(verdict))
    return Wait(verdict.at_ms, _bucket(verdict))


def _bucket(verdict: permits.Verdict) -> FullBucket:
    kind, *rest = verdict.scopes[0].split(":")
    return FullBucket("account_country" if len(rest) > 1 else kind, verdict.window)


def _check_whole(results: Sequence[object]) -> None:
    if None in results:
        raise redis_link.LimiterUnavailable("the limiter is being rebuilt")
