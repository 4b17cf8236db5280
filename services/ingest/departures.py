"""When a message that is accepted now will leave: from what the limits it meets have used and what
waits for them.

Most lines are far from their limits, and of those nothing is known but what this process has
accepted of late. A limit is read when something may have to wait for it, or might be too late, and
again every few seconds as long as that is so; in between, what is accepted is counted in memory. So
the plain way asks nobody.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from services.ingest import known_limits
from services.ingest.known_limits import AMPLE_MS, READ_SECONDS, KnownLimit
from shared.db import connection, outlooks, watch
from shared.db.messages import StoredMessage
from shared.limits.forecast import MessageKind, ScopeOutlook
from shared.limits.limiter import scopes_of
from shared.limits.permits import UNLIMITED
from shared.rules import snapshot
from shared.rules.compose import VALID_SECONDS_DEFAULT, Draft
from shared.rules.refusals import Code, Refusal
from shared.runtime import batching
from shared.sms.states import MessageStatus

_log = structlog.get_logger()

REFRESH_SECONDS = 1.0
PAGE_COUNT = 100
LIMIT_COUNT_MAX = 50_000
NEAR_SHARE = 8
"""A line is near its limits when this process alone has accepted one part of so many of one."""
SEEN_SLOT_COUNT = 1 << 18
"""A line, account and country are counted in the slot of their hash, so that memory is the same for
any number of lines: those that share one are taken to be nearer to their limits than they are."""
SEEN_SECONDS = 3_600.0
_WAITING = frozenset({MessageStatus.SCHEDULED, MessageStatus.QUEUED, MessageStatus.PARKED})

_Key = tuple[int, int, str]
"""Line, account, country."""


class DepartureForecasts:
    """The forecasts of one process."""

    def __init__(self, pool: asyncpg.Pool, configured: watch.Watch) -> None:
        self._pool = pool
        self._configured = configured
        self._version = 0
        self._limits: dict[str, KnownLimit] = {}
        self._met: dict[_Key, tuple[KnownLimit, ...]] = {}
        self._begin_to_count()
        self._unasked: set[int] = set()
        """Lines of these, since it was asked last which of them have parked messages."""
        self._parked: set[int] = set()
        self._reads = batching.Batcher[KnownLimit, ScopeOutlook](self._read, size=PAGE_COUNT)

    async def learn(self, drafts: Iterable[Draft]) -> None:
        """Read the limits that these drafts may have to wait for and that are not known. Where that
        takes too long they stay unknown, and the best is expected of them."""
        self._begin_anew_if_changed()
        unknown = {
            limit.name: limit
            for draft in drafts
            if (key := _key(draft)) in self._met or self._may_wait(key, draft)
            for limit in self._limits_of(*key)
            if limit.outlook is None
        }
        if not unknown:
            return
        try:
            async with asyncio.timeout(READ_SECONDS):
                await asyncio.gather(*map(self._reads.add, unknown.values()))
        except (batching.Overloaded, *connection.TRANSIENT) as error:
            _log.info("limits_not_read", error=type(error).__name__)

    def _may_wait(self, key: _Key, draft: Draft) -> bool:
        """Whether to look: where there is little time, a limit is near, which one by the second
        always is, or others wait."""
        line_id, account_id, country = key
        current = self._configured.current
        if draft.valid_seconds < VALID_SECONDS_DEFAULT:
            return True
        if self._parked and not self._parked.isdisjoint(_of_number(current, line_id)):
            return True
        limits = current.country_limits
        if limits and ((None, country) in limits or (account_id, country) in limits):
            return True
        traits = current.limit_traits(line_id)
        if traits is None:
            return False
        if traits.second_limit is not None:
            return True
        least = traits.limits.least
        return (
            least is not None
            and NEAR_SHARE * (self._seen[_slot(key)] + draft.segment_count) >= least
        )

    def _begin_to_count(self) -> None:
        self._seen = array("I", bytes(4 * SEEN_SLOT_COUNT))
        """Segments accepted of late of those that meet no limit that is known."""
        self._seen_since = time.monotonic()

    def leaves_at(self, draft: Draft, now: datetime) -> datetime:
        """When a message leaves that is accepted now; where that is too far away to tell, a time
        before which it does not."""
        best = draft.send_at or now
        limits = self._met.get(_key(draft))
        if not limits:
            return best
        now_ms = latest_ms = _milliseconds(now)
        kind = MessageKind(draft.message_class, draft.country)
        for limit in limits:
            if limit.outlook is not None:
                limit.asked_at_ms = now_ms
                at_ms = limit.outlook.leaves_at_ms(now_ms, kind, draft.segment_count)
                latest_ms = max(latest_ms, at_ms)
        return max(best, _moment(latest_ms)) if latest_ms > now_ms else best

    def count(self, draft: Draft) -> None:
        """A message is going to be accepted: those that follow come after it. What is to be sent
        later takes no room now."""
        if draft.send_at is not None:
            return
        key = _key(draft)
        limits = self._met.get(key)
        if limits is None:
            self._seen[_slot(key)] += draft.segment_count
            self._unasked.update(_of_number(self._configured.current, draft.line_id))
            return
        now_ms = time.time_ns() // 1_000_000
        kind = MessageKind(draft.message_class, draft.country)
        for limit in limits:
            limit.count(now_ms, draft.message_id, kind, draft.segment_count)

    def admit(self, draft: Draft, now: datetime, *, counts: bool = True) -> datetime | Refusal:
        """When a message leaves that is accepted now, and, if it `counts`, others after it; or why
        it is not accepted: that would be too late for it."""
        departs_at = self.leaves_at(draft, now)
        if departs_at > (draft.send_at or now) + timedelta(seconds=draft.valid_seconds):
            detail = "The limits do not let the message leave within its validity."
            return Refusal(Code.CANNOT_LEAVE_IN_TIME, detail, possible_at=departs_at)
        if counts:
            self.count(draft)
        return departs_at

    async def of_waiting(self, account_id: int, stored: StoredMessage) -> datetime | None:
        """When a stored message will leave; None once it does not wait any more."""
        if stored.status not in _WAITING:
            return None
        now = datetime.now(UTC)
        best = max(now, stored.send_at or now)
        kind = MessageKind(stored.message_class, stored.country)
        limits = self._limits_of(stored.line_id, account_id, stored.country)
        times_ms = [await self._leaves_at_ms(limit, kind, stored) for limit in limits]
        return max(best, *map(_moment, times_ms)) if times_ms else best

    async def _leaves_at_ms(
        self, limit: KnownLimit, kind: MessageKind, stored: StoredMessage
    ) -> int:
        known, now_ms = limit.outlook, time.time_ns() // 1_000_000
        if known is not None and not known.tight and now_ms - known.read_at_ms < AMPLE_MS:
            return now_ms
        outlook = await self._reads.add(limit)
        place = outlooks.ParkedPlace(stored.message_class, stored.message_id)
        ahead = await known_limits.ahead(self._pool, limit, place)
        return outlook.after_ms(kind, ahead, stored.segment_count)

    async def refresh(self) -> None:
        """Read again what is asked of and old, and see on which other lines messages wait."""
        if time.monotonic() - self._seen_since > SEEN_SECONDS:
            self._begin_to_count()
        await self._ask_who_is_parked()
        now_ms = time.time_ns() // 1_000_000
        due = [limit for limit in self._limits.values() if limit.is_due(now_ms)]
        await asyncio.gather(*map(self._reads.add, due[:PAGE_COUNT]))

    async def _ask_who_is_parked(self) -> None:
        unasked, self._unasked = self._unasked, set()
        if not unasked:
            return
        try:
            async with self._pool.acquire(timeout=READ_SECONDS) as opened:
                self._parked |= await outlooks.parked_of(opened, unasked)
        except BaseException:
            self._unasked |= unasked
            raise

    def _limits_of(self, line_id: int, account_id: int, country: str) -> tuple[KnownLimit, ...]:
        """What such messages meet."""
        self._begin_anew_if_changed()
        current = self._configured.current
        key = (line_id, account_id, country)
        met = self._met.get(key)
        if met is None:
            met = self._met[key] = tuple(self._meet(current, *key))
        return met

    def _begin_anew_if_changed(self) -> None:
        version = self._configured.current.version
        if self._version != version or len(self._met) > LIMIT_COUNT_MAX:
            self._version = version
            self._limits.clear()
            self._met.clear()
            self._parked.clear()

    def _meet(
        self, current: snapshot.Configuration, line_id: int, account_id: int, country: str
    ) -> Iterator[KnownLimit]:
        for place, scope in enumerate(scopes_of(current, line_id, account_id, country)):
            if min(scope.limits) == UNLIMITED:
                continue
            known = self._limits.get(scope.name)
            if known is None:
                # Of a line, messages to countries with limits of their own let others pass.
                owners = () if place else (None, account_id)
                passable = {name for owner, name in current.country_limits if owner in owners}
                known = KnownLimit(scope, 0 if place else line_id, frozenset(passable))
                self._limits[scope.name] = known
            yield known

    async def _read(self, limits: Sequence[KnownLimit]) -> list[ScopeOutlook | BaseException]:
        different = list(dict.fromkeys(limits))
        outlooks = await known_limits.read(self._pool, different)
        found = dict(zip(different, outlooks, strict=True))
        return [found[limit] for limit in limits]


def _of_number(current: snapshot.Configuration, line_id: int) -> tuple[int, ...]:
    """The lines that share its number, and its limits."""
    return current.sharing.get(line_id, (line_id,))


def _key(draft: Draft) -> _Key:
    return draft.line_id, draft.account_id, draft.country


def _slot(key: _Key) -> int:
    return hash(key) % SEEN_SLOT_COUNT


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
