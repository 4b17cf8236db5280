"""The line scheduler: wakes lines whose tokens have returned and lets just so many messages go.

It takes no permits itself, it looks how many there are: the released messages take theirs where
they are sent, so a permit never travels and its age needs no shared clock. Released messages pass
the gate behind which newcomers of the line wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import asyncpg

from services.dispatcher import park, share
from shared.db import connection, parking, segments, trail, watch
from shared.db.pool import ACQUIRE_SECONDS
from shared.limits.limiter import PERMIT_AGE_SECONDS, FullBucket, Limiter, Never, Room, Wait
from shared.rules import snapshot
from shared.sms.states import SegmentState

LINE_COUNT = 100
RELEASE_COUNT_MAX = 500
"""Segments a line may let go in one turn: lines take turns."""
RELEASE_SUM_MAX, RELEASE_COUNT_MIN = 2_000, 20
"""Segments that all lines of a turn share, and what is each line's at least: what a turn locks it
locks for some tenths of a second."""
FULL_COUNTRY_COUNT_MAX = 50
PAUSE_MS = 2_000
"""Until a line that has let messages go is looked at again: they need that long to take permits."""
PACED_PAUSE_MS = 1_000
"""The same of a line that is limited by the second."""

Ordered = TypeVar("Ordered", int, FullBucket)


@dataclass(slots=True)
class _Plan:
    """What becomes of the lines of a turn."""

    room: dict[int, int] = field(default_factory=dict)
    """line → segments that may go now."""
    waits: dict[int, int] = field(default_factory=dict)
    """line → when it has tokens again, in ms of Redis' clock."""
    part_waits: dict[int, int] = field(default_factory=dict)
    """line → when the first of its full countries has tokens again."""
    full: list[parking.Full] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    heads: dict[int, parking.Head] = field(default_factory=dict)
    """line with room → who is first."""
    class_max: dict[int, int] = field(default_factory=dict)
    """line → the least urgent that may go, where others of its number have a part."""
    buckets: dict[int, FullBucket] = field(default_factory=dict)
    """line → what it waits for."""
    marks: list[trail.TrailMark] = field(default_factory=list)
    """Heads that must wait on."""
    paced: set[int] = field(default_factory=set)
    """Lines that are limited by the second."""
    now_ms: int = 0


class Scheduler:
    """One turn at a time; several dispatchers share the lines by skipping locked ones."""

    def __init__(self, pool: asyncpg.Pool, configured: watch.Watch, limiter: Limiter) -> None:
        self._pool = pool
        self._configured = configured
        self._limiter = limiter
        self._before = configured.current
        self._to_wake: Collection[int] | None = ()
        self._again: deque[tuple[float, set[int]]] = deque()

    async def wake_changed(self, current: snapshot.Configuration) -> None:
        """The configuration has changed: look in the next turn at each line whose limits have, and
        at every line where one of a country has, for whoever waits was told a time by those."""
        before, self._before = self._before, current
        if (before.country_limits, before.sharing) != (current.country_limits, current.sharing):
            self._to_wake = None
        elif self._to_wake is not None:
            self._to_wake = {*self._to_wake, *_changed_lines(before, current)}

    async def turn(self) -> None:
        """Look after every line that is due."""
        if self._to_wake is not None:
            self._to_wake = {*self._to_wake, *self._got_tokens_back()}
        if self._to_wake is None or self._to_wake:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                self._to_wake = await parking.wake(opened, self._to_wake, PAUSE_MS / 1000)
        while await self._look_after() == LINE_COUNT:
            pass

    def _got_tokens_back(self) -> set[int]:
        """Lines whose parked messages may go earlier than they were told. Each is named twice, for
        a message that was refused before the tokens came back may be parked only now."""
        now = time.monotonic()
        sharing = self._configured.current.sharing
        returned = self._limiter.take_returned()
        lines = {each for line_id in returned for each in sharing.get(line_id, (line_id,))}
        if lines:
            self._again.append((now + PERMIT_AGE_SECONDS, lines))
        while self._again and self._again[0][0] <= now:
            lines = lines | self._again.popleft()[1]
        return lines

    async def _look_after(self) -> int:
        """One transaction for the lines that have been due for longest; how many they were."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            due = await parking.lock_due(opened, LINE_COUNT)
            if not due:
                return 0
            sharing = self._configured.current.sharing
            beside = {each for line_id in due for each in sharing.get(line_id, ())}.difference(due)
            together = await parking.lock_beside(opened, sorted(beside)) if beside else []
            plan = await self._plan(opened, [*due, *together])
            _share_out(plan, sharing)
            behind = await _carry_out(opened, plan)
        gates = self._of_numbers(_gates(plan, behind))
        await self._limiter.set_gates(gates, self._of_numbers(plan.buckets))
        return len(due)

    def _of_numbers(self, values: Mapping[int, Ordered]) -> dict[int, Ordered]:
        """The greatest value of the lines of each number, by the line that has its limits."""
        found: dict[int, Ordered] = {}
        for line_id, value in values.items():
            limit_line = self._configured.current.limit_line(line_id)
            found[limit_line] = max(value, found.get(limit_line, value))
        return found

    async def _plan(self, opened: connection.Connection, due: Sequence[int]) -> _Plan:
        """Look at each line's head; where its country is full, at the next that is not bound
        there."""
        plan = _Plan(now_ms=int(datetime.now(UTC).timestamp() * 1000))
        current = self._configured.current
        looked_at = {line_id for line_id in due if line_id in current.lines}
        plan.paced = {line_id for line_id in looked_at if _is_paced(current, line_id)}
        # A line newer than the configuration that this process has read.
        plan.waits.update((line_id, plan.now_ms + PAUSE_MS) for line_id in {*due} - looked_at)
        for _ in range(FULL_COUNTRY_COUNT_MAX):
            heads = await parking.heads(opened, sorted(looked_at), plan.full)
            for line_id in looked_at - {head.line_id for head in heads}:
                if line_id not in plan.part_waits:
                    plan.empty.append(line_id)
            looked_at = set()
            for head, room in zip(heads, await self._limiter.peek(current, heads), strict=True):
                if not _decide(plan, head, room):
                    looked_at.add(head.line_id)
            if not looked_at:
                break
        plan.part_waits.update((line_id, plan.now_ms + PAUSE_MS) for line_id in looked_at)
        return plan


def _changed_lines(
    before: snapshot.Configuration, current: snapshot.Configuration
) -> Iterator[int]:
    """Lines whose limits have changed, with those that share them."""
    for line_id in current.lines.limits_changed(before.lines):
        yield from current.sharing.get(line_id, (line_id,))


def _decide(plan: _Plan, head: parking.Head, room: Room | Wait | Never) -> bool:
    """Whether the head's line is done with; else its country is full, and the next may go."""
    line_id = head.line_id
    if isinstance(room, Room):
        plan.room[line_id] = min(room.segments, RELEASE_COUNT_MAX)
        plan.heads[line_id] = head
        plan.now_ms = room.at_ms
    elif isinstance(room, Never):
        # More than a limit allows at all: let it go, to be failed where it is refused.
        plan.room[line_id] = head.segment_count
    elif room.by_line:
        plan.waits[line_id] = room.ready_at_ms
        plan.buckets[line_id] = room.bucket
        plan.marks.append(park.waited(head.message_id, room))
    else:
        plan.marks.append(park.waited(head.message_id, room))
        plan.full.append((line_id, head.country))
        earliest = plan.part_waits.get(line_id, room.ready_at_ms)
        plan.part_waits[line_id] = min(earliest, room.ready_at_ms)
        return False
    return True


def _share_out(plan: _Plan, sharing: Mapping[int, tuple[int, ...]]) -> None:
    """Lines of one number have seen the same room: each is to have its part of it."""
    for lines in {sharing[line_id] for line_id in plan.heads if line_id in sharing}:
        heads = [plan.heads[line_id] for line_id in lines if line_id in plan.heads]
        if len(heads) < 2:
            continue
        room = min(plan.room[head.line_id] for head in heads)
        parts = share.shared_out(heads, room, plan.now_ms // PAUSE_MS)
        for head in heads:
            part = parts.get(head.line_id)
            if part is None:
                del plan.room[head.line_id]
                plan.waits[head.line_id] = plan.now_ms + PAUSE_MS
            else:
                plan.room[head.line_id], plan.class_max[head.line_id] = part


def _is_paced(current: snapshot.Configuration, line_id: int) -> bool:
    traits = current.limit_traits(line_id)
    return traits is not None and traits.second_limit is not None


async def _carry_out(opened: connection.Connection, plan: _Plan) -> set[int]:
    """Release, and tell each line when it is looked at again; lines of which some stay behind that
    had only to wait for those before them."""
    behind: set[int] = set()
    if plan.room:
        most = max(RELEASE_COUNT_MIN, RELEASE_SUM_MAX // len(plan.room))
        room = {line_id: min(segments, most) for line_id, segments in plan.room.items()}
        released, behind = await parking.release(opened, room, plan.full, plan.class_max)
        await segments.settle_waiting(opened, released, SegmentState.QUEUED)
        plan.marks += [trail.TrailMark(each, trail.TrailStep.RELEASED) for each in released]
    await trail.mark(opened, plan.marks)
    again = {
        line_id: plan.now_ms + (PACED_PAUSE_MS if line_id in plan.paced else PAUSE_MS)
        for line_id in plan.room
    }
    times_ms = plan.part_waits | again | plan.waits
    await parking.postpone(
        opened, {line: datetime.fromtimestamp(ms / 1000, UTC) for line, ms in times_ms.items()}
    )
    await parking.close_lines(opened, plan.empty)
    return behind


def _gates(plan: _Plan, behind: set[int]) -> dict[int, int]:
    """Until when newcomers of a line join behind its parked: else small ones would take token after
    token, and a long one at the head would never find enough together."""
    opened = dict.fromkeys([*plan.empty, *plan.room, *plan.part_waits], 0)
    waiting = dict.fromkeys([*behind, *plan.class_max], plan.now_ms + PAUSE_MS)
    return opened | waiting | plan.waits
