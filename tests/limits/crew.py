"""A few workers that want to send more than small limits let through, while time passes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import asyncpg

from shared.broker import envelopes
from shared.db import connection, watch
from shared.limits import permits
from shared.rules import snapshot
from shared.rules.lines import Limits, Lines
from tests.limits import judge, stage
from tests.limits.worker import Journal, Worker

PLATFORM = f"country:{stage.COUNTRY}"
_ACCOUNT = f"country:1:{stage.COUNTRY}"
_SLOTS_MS = (60_000, 900_000, 21_600_000)
_LENGTHS_MS = (judge.HOUR_MS, judge.DAY_MS, judge.MONTH_MS)
_NEWCOMER_COUNT = 12

MakePermits = Callable[[Any], permits.Permits]


class Crew:
    """Whatever it does, `chance` decides."""

    def __init__(
        self, where: stage.Stage, chance: random.Random, make_permits: MakePermits
    ) -> None:
        self._stage = where
        self._clock = where.clock
        self._chance = chance
        self._make_permits = make_permits
        self._journal = Journal(chance, where.clock)
        self._limits = _some_limits(chance, where.configured)
        self._configured = watch.Watch(where.ways[0].pool, self._configuration())
        self._workers = [self._new_worker(place) for place in range(stage.WORKER_COUNT)]
        self._pile: list[envelopes.WorkItem] = []
        self._tasks: dict[asyncio.Task[None], asyncio.Event] = {}
        self._held: list[tuple[asyncpg.Pool, Any]] = []

    def _configuration(self) -> snapshot.Configuration:
        current = self._stage.configured
        lines = Lines.of(
            line._replace(limits=self._limits[f"line:{line_id}"])
            for line_id, line in current.lines.items()
        )
        country: dict[tuple[int | None, str], Limits] = {}
        for name, key in ((PLATFORM, (None, stage.COUNTRY)), (_ACCOUNT, (1, stage.COUNTRY))):
            if name in self._limits:
                country[key] = self._limits[name]
        return replace(current, lines=lines, country_limits=country)

    def _new_worker(self, place: int) -> Worker:
        ways = self._stage.ways[place]
        return Worker(ways, self._make_permits(ways.link), self._configured, self._journal)

    async def _accept(self, count: int) -> None:
        lines = sorted(self._stage.configured.lines)
        self._pile += await self._stage.accept(
            [
                (self._chance.choice(lines), self._chance.choice((1, 1, 1, 2, 3)))
                for _ in range(count)
            ]
        )

    # What workers do

    async def _serve(self) -> None:
        if not self._pile:
            await self._relay()
        self._chance.shuffle(self._pile)
        count = self._chance.choice((1, 2, 4, 8, 16))
        self._begin(self._pile[:count], at_once=self._chance.random() < 0.75)

    def _begin(self, items: list[envelopes.WorkItem], *, at_once: bool) -> None:
        """Have a worker dispatch these, and send them at once or when time has passed."""
        taken = {item.message_id for item in items}
        self._pile = [item for item in self._pile if item.message_id not in taken]
        go = asyncio.Event()
        if at_once:
            go.set()
        worker = self._chance.choice(self._workers)
        self._tasks[asyncio.create_task(self._serve_items(worker, items, go))] = go

    async def _serve_items(
        self, worker: Worker, items: list[envelopes.WorkItem], go: asyncio.Event
    ) -> None:
        again = items
        try:
            again = await worker.serve(items, go)
        finally:
            # What a killed worker had in hand the broker delivers again.
            self._pile.extend(again)

    async def _relay(self) -> None:
        rows = await self._stage.owner.fetch(
            "UPDATE work SET state = 'published' WHERE message_id = ANY (ARRAY("
            "SELECT message_id FROM work WHERE state = 'ready' "
            "OR state = 'scheduled' AND ready_at <= now() FOR UPDATE SKIP LOCKED)) "
            "RETURNING message_id, line_id, segment_count, bypass_gate"
        )
        for row in rows:
            self._pile = [item for item in self._pile if item.message_id != row["message_id"]]
            self._pile.append(
                envelopes.WorkItem(
                    row["message_id"],
                    1,
                    row["line_id"],
                    stage.COUNTRY,
                    row["segment_count"],
                    0,
                    row["bypass_gate"],
                )
            )

    async def _look_after(self) -> None:
        self._release_pools()
        await self._chance.choice(self._workers).look_after()
        await self._relay()

    async def _send_what_may_go(self) -> None:
        """Newcomers, and all who have waited until now."""
        self._release_pools()
        for worker in self._workers:
            await worker.look_after()
        await self._relay()
        await self._accept(_NEWCOMER_COUNT)
        self._begin(list(self._pile), at_once=True)

    # How time passes

    async def _let_run(self) -> None:
        for _ in range(self._chance.choice((1, 3, 10, 30))):
            await asyncio.sleep(self._chance.choice((0, 0, 0.0005)))

    async def _pass_time(self) -> None:
        """Briefly; to a moment at which tokens may return, just before or after; or for long."""
        await self._step(self._chance.choice((self._brief, self._brief, self._told, self._long))())

    def _brief(self) -> int:
        return self._chance.choice((1, 300, 1_500, 4_900, 5_100))

    def _told(self) -> int:
        """To a moment that a limiter might take for the end of a window of something that left."""
        if not self._journal.departures:
            return 0
        first = self._chance.choice(self._journal.departures).at_ms
        window = self._chance.randrange(3)
        slot_ms = _SLOTS_MS[window]
        ends = (first // slot_ms + self._chance.choice((0, 1))) * slot_ms + _LENGTHS_MS[window]
        ends += self._chance.choice((0, 0, 1, 4_999, 5_000, 5_001, 10_000, -5_000))
        return max(0, ends - self._clock.true_ms)

    def _long(self) -> int:
        return self._chance.choice((60_000, 1_800_000, judge.HOUR_MS, judge.DAY_MS // 2))

    async def _step(self, step_ms: int) -> None:
        await self._clock.set(self._stage.owner, self._clock.true_ms + step_ms)
        for go in self._tasks.values():
            if self._chance.random() < 0.5:
                go.set()

    async def _squeeze(self) -> None:
        """Permits from the end of a slot used as late as may be, and more as soon as might be."""
        window = self._chance.randrange(3)
        slot_ms, length_ms = _SLOTS_MS[window], _LENGTHS_MS[window]
        end_ms = (self._clock.true_ms // slot_ms + 1) * slot_ms
        await self._step(end_ms - self._chance.randint(1, 3_000) - self._clock.true_ms)
        await self._accept(_NEWCOMER_COUNT)
        self._begin(list(self._pile), at_once=False)
        await self._run_for_a_moment()
        await self._clock.set(self._stage.owner, end_ms + self._chance.randint(0, 1_900))
        await self._settle()
        after_ms = self._chance.choice((0, 1, 5_000, 9_999, 10_000))
        await self._step(max(0, end_ms + length_ms + after_ms - self._clock.true_ms))
        await self._send_what_may_go()

    async def _run_for_a_moment(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0.0005)

    async def _settle(self) -> None:
        """Everything in flight comes to its end."""
        self._release_pools()
        for go in self._tasks.values():
            go.set()
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks, timeout=30)
            assert done, "a worker does not come to an end"
            for task in done:
                del self._tasks[task]
                with suppress(asyncio.CancelledError):
                    await task

    async def _hold_pool(self) -> None:
        """A worker that wants PostgreSQL has to wait for it."""
        pool = self._chance.choice(self._stage.ways).pool
        for _ in range(stage.WORKER_CONNECTION_COUNT):
            with suppress(TimeoutError, *connection.TRANSIENT):
                self._held.append((pool, await pool.acquire(timeout=0.002)))

    def _release_pools(self) -> None:
        for pool, held in self._held:
            task = asyncio.ensure_future(pool.release(held))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._held.clear()


def _some_limits(chance: random.Random, current: snapshot.Configuration) -> dict[str, Limits]:
    """Small ones: of each line, and sometimes of the country."""
    found = {f"line:{line_id}": _limits(chance, 4) for line_id in current.lines}
    if chance.random() < 0.4:
        found[PLATFORM] = _limits(chance, 6)
    if chance.random() < 0.4:
        found[_ACCOUNT] = _limits(chance, 6)
    return found


def _limits(chance: random.Random, least: int) -> Limits:
    hour = chance.randint(least, least + 5)
    day = chance.choice((None, hour + chance.randint(0, 6)))
    month = chance.choice((None, (day or hour) + chance.randint(0, 8)))
    return Limits(hour, day, month)
