"""What is known of the limits that messages meet: how each is set, how it was read last, and what
was accepted since."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import connection, outlooks
from shared.limits.forecast import AcceptTempo, MessageKind, ScopeOutlook
from shared.limits.permits import Scope

READ_SECONDS = 1.0
"""What is waited for at most to learn of limits."""
TIGHT_MS, AMPLE_MS = 5_000, 60_000
"""How old an outlook may become where messages may have to wait, and where not.
One that many wait for is read once in as many milliseconds: counting them costs."""
RECENT_COUNT_MAX = 2_000
RECENT_MS = 15_000


class RecentMessage(NamedTuple):
    """A message that was accepted of late: when its limit is read again, it may not have been tried
    yet."""

    message_id: UUID
    counted_at_ms: int
    kind: MessageKind
    segments: int


class KnownLimit:
    """A limit that messages meet: how it is set, how it was read last, and what came since."""

    def __init__(self, scope: Scope, line_id: int, passable: frozenset[str]) -> None:
        self.scope = scope
        self.line_id = line_id
        """The line that it is one of; 0: it is of a country."""
        self.passable = passable
        self.tempo = AcceptTempo()
        self.outlook: ScopeOutlook | None = None
        self.asked_at_ms = 0
        self.recent: deque[RecentMessage] = deque(maxlen=RECENT_COUNT_MAX)

    @property
    def name(self) -> str:
        """The limiter's for it."""
        return self.scope.name

    @property
    def country(self) -> tuple[str, int | None]:
        """The country it is of, and the account it is for, or None: for all."""
        _, *owner, country = self.name.split(":")
        return country, int(owner[0]) if owner else None

    def is_due(self, now_ms: int) -> bool:
        """Whether it was asked of since it was read, and that is too long ago."""
        known = self.outlook
        if known is None or self.asked_at_ms < known.read_at_ms:
            return False
        age_ms = now_ms - known.read_at_ms
        if not known.tight:
            return age_ms > AMPLE_MS
        return age_ms > max(TIGHT_MS, known.waiting_count)

    def count(self, now_ms: int, message_id: UUID, kind: MessageKind, segments: int) -> None:
        """A message is going to be accepted."""
        if self.outlook is None:
            return
        self.outlook.count(now_ms, kind, segments)
        if self.outlook.tight:
            self.recent.append(RecentMessage(message_id, now_ms, kind, segments))

    def know(
        self,
        now_ms: int,
        used: Sequence[tuple[int, int]],
        parked: Counter[MessageKind],
        untried: Collection[UUID],
    ) -> ScopeOutlook:
        """What was read as of `now_ms`, and of what is counted all that the reading cannot know:
        what was accepted since, and what no dispatcher has had in hand yet."""
        since = [each for each in self.recent if each.counted_at_ms > now_ms]
        since += [each for each in self.recent if each.message_id in untried]
        self.recent = deque(since, RECENT_COUNT_MAX)
        for each in since:
            parked[each.kind] += each.segments
        self.outlook = ScopeOutlook(self.scope, now_ms, used, parked, self.tempo, self.passable)
        return self.outlook


async def read(pool: asyncpg.Pool, limits: Sequence[KnownLimit]) -> list[ScopeOutlook]:
    """All that is in PostgreSQL of these limits, each named once, at one moment, kept with each."""
    now_ms = time.time_ns() // 1_000_000
    recent = [each for limit in limits for each in limit.recent]
    young = [each.message_id for each in recent if now_ms - each.counted_at_ms < RECENT_MS]
    async with (
        pool.acquire(timeout=READ_SECONDS) as opened,
        opened.transaction(isolation="repeatable_read", readonly=True),
    ):
        used = await outlooks.usage(opened, [limit.name for limit in limits])
        untried = await outlooks.untried(opened, young) if young else set()
        parked = await _parked(opened, limits)
    return [limit.know(now_ms, used[limit.name], parked[limit.name], untried) for limit in limits]


async def ahead(pool: asyncpg.Pool, limit: KnownLimit, place: outlooks.ParkedPlace) -> int:
    """Segments that wait for a limit and leave before a message that is parked there."""
    async with pool.acquire(timeout=READ_SECONDS) as opened:
        if limit.line_id:
            return await outlooks.ahead_on_line(opened, place, limit.line_id)
        return await outlooks.ahead_to_country(opened, place, *limit.country)


async def _parked(
    opened: connection.Connection, limits: Sequence[KnownLimit]
) -> dict[str, Counter[MessageKind]]:
    """Segments that wait for each limit."""
    found: dict[str, Counter[MessageKind]] = {limit.name: Counter() for limit in limits}
    for each in await outlooks.on_lines(opened, [each.line_id for each in limits if each.line_id]):
        found[f"line:{each.line_id}"][MessageKind(each.message_class, each.country)] += (
            each.segment_count
        )
    for limit in limits:
        if not limit.line_id:
            for each in await outlooks.to_country(opened, *limit.country):
                kind = MessageKind(each.message_class, each.country)
                found[limit.name][kind] += each.segment_count
    return found
