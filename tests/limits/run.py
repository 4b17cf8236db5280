"""One run: a few lines with small limits, workers that want to send more, and faults."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import asyncpg

from shared.broker import envelopes
from shared.db import connection, watch
from shared.limits import permits
from shared.rules import snapshot
from shared.rules.lines import Limits, Lines
from tests.limits import clock, judge, stage
from tests.limits.worker import ALWAYS_TAKEN, OFTEN_PUT_OFF, Journal, Worker

SLOTS_MS = (60_000, 900_000, 21_600_000)
LENGTHS_MS = (judge.HOUR_MS, judge.DAY_MS, judge.MONTH_MS)
_ACTION_COUNT = 36
_MESSAGE_COUNT = 48
_NEWCOMER_COUNT = 12
_LAST_MESSAGE_COUNT = 24
_LAST_ROUND_COUNT = 14


class Fault(StrEnum):
    """What a run may suffer."""

    WIPED = "Redis wiped"
    RESTARTED = "Redis killed and started empty"
    ROLLED_BACK = "Redis rolled back to a snapshot"
    JUMPED = "Redis' clock jumped"
    PAUSED = "dispatcher stood still with permits in hand"
    KILLED = "dispatcher killed within a claim"
    CUT = "connections to PostgreSQL cut"
    STALLED = "Redis wiped while a claim waits for a lock"
    DATABASE = "PostgreSQL killed and started again"


@dataclass
class RunResult:
    """What was seen."""

    seed: int
    fullest: list[judge.Fullest] = field(default_factory=list)
    faults: Counter[Fault] = field(default_factory=Counter)
    segment_count: int = 0
    returned_count: int = 0
    late_count: int = 0
    used_share: float = 0.0
    """Of a limit, at the end, when more was wanted than it lets through."""
    uncharged_count: int = 0
    """Segments that left and are missing in PostgreSQL's usage."""

    @property
    def over(self) -> int:
        """By how many segments a limit was exceeded at worst."""
        return max((each.over for each in self.fullest), default=0)


MakePermits = Callable[[Any], permits.Permits]


class FaultRun:
    """Plays what the seed says."""

    def __init__(
        self,
        where: stage.Stage,
        seed: int,
        faults: Collection[Fault] = tuple(Fault),
        make_permits: MakePermits = permits.Permits,
    ) -> None:
        self.result = RunResult(seed)
        self._stage = where
        self._clock = where.clock
        self._chance = random.Random(seed)
        self._make_permits = make_permits
        self._journal = Journal(self._chance, where.clock)
        self._limits = _some_limits(self._chance, where.configured)
        self._configured = watch.Watch(where.ways[0].pool, self._configuration())
        self._workers = [self._new_worker(place) for place in range(stage.WORKER_COUNT)]
        self._pile: list[envelopes.WorkItem] = []
        self._tasks: dict[asyncio.Task[None], asyncio.Event] = {}
        self._held: list[tuple[asyncpg.Pool, Any]] = []
        self._faults = self._choose(faults)

    def _choose(self, faults: Collection[Fault]) -> list[Fault]:
        """A few kinds, so that each meets itself; PostgreSQL's restart takes a second: seldom."""
        kinds: list[Fault] = [each for each in faults if each is not Fault.DATABASE]
        chosen = self._chance.sample(kinds, min(len(kinds), self._chance.randint(1, 3)))
        if (
            Fault.DATABASE in faults
            and self._stage.restart_database is not None
            and self._chance.random() < 0.02
        ):
            chosen.append(Fault.DATABASE)
        return chosen

    def _configuration(self) -> snapshot.Configuration:
        current = self._stage.configured
        lines = Lines.of(
            line._replace(limits=self._limits[f"line:{line_id}"])
            for line_id, line in current.lines.items()
        )
        country: dict[tuple[int | None, str], Limits] = {}
        for name, key in ((_PLATFORM, (None, stage.COUNTRY)), (_ACCOUNT, (1, stage.COUNTRY))):
            if name in self._limits:
                country[key] = self._limits[name]
        return replace(current, lines=lines, country_limits=country)

    def _new_worker(self, place: int) -> Worker:
        ways = self._stage.ways[place]
        return Worker(ways, self._make_permits(ways.link), self._configured, self._journal)

    async def play(self) -> RunResult:
        """All of it."""
        await self._stage.clear()
        self._clock.redis_ahead_ms = 0
        start = clock.START_MS + self._chance.randrange(judge.MONTH_MS)
        await self._clock.set(self._stage.owner, start)
        await self._accept(_MESSAGE_COUNT)
        for _ in range(_ACTION_COUNT):
            await self._act()
        await self._calm_down()
        await self._use_all(min(self._stage.configured.lines))
        await self._conclude()
        return self.result

    async def _accept(self, count: int) -> None:
        lines = sorted(self._stage.configured.lines)
        self._pile += await self._stage.accept(
            [
                (self._chance.choice(lines), self._chance.choice((1, 1, 1, 2, 3)))
                for _ in range(count)
            ]
        )

    async def _act(self) -> None:
        actions: list[tuple[int, Callable[[], Any]]] = [
            (30, self._serve),
            (22, self._let_run),
            (22, self._pass_time),
            (8, self._look_after),
            (6, self._settle),
            (6, self._hold_pool),
            (5, self._squeeze),
            (16, self._suffer),
        ]
        weights = [weight for weight, _ in actions]
        ((_, action),) = self._chance.choices(actions, weights)
        await action()

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
        slot_ms = SLOTS_MS[window]
        ends = (first // slot_ms + self._chance.choice((0, 1))) * slot_ms + LENGTHS_MS[window]
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
        slot_ms, length_ms = SLOTS_MS[window], LENGTHS_MS[window]
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

    # What they suffer

    async def _suffer(self) -> None:
        fault = self._chance.choice(self._faults)
        self.result.faults[fault] += await _SUFFER[fault](self)

    async def _wipe(self) -> bool:
        self._stage.redis.wipe()
        return True

    async def _restart(self) -> bool:
        self._stage.redis.restart()
        return True

    async def _roll_back(self) -> bool:
        """Keep a snapshot, or go back to it."""
        if not self._stage.redis.has_snapshot or self._chance.random() < 0.3:
            self._stage.redis.keep_snapshot()
            return False
        self._stage.redis.roll_back()
        return True

    async def _jump(self) -> bool:
        hours = self._chance.choice((1, 2, 25, 24 * 32))
        ahead_ms = self._chance.choice((0, 0, 1, -1)) * hours * judge.HOUR_MS
        ahead_ms += self._chance.choice((0, 0, 1, -1)) * self._chance.randrange(20_000)
        before_ms, self._clock.redis_ahead_ms = self._clock.redis_ahead_ms, ahead_ms
        if self._chance.random() < 0.5:
            # For a moment only.
            await self._send_what_may_go()
            await self._settle()
            self._clock.redis_ahead_ms = before_ms
            await self._send_what_may_go()
        return ahead_ms != before_ms

    async def _pause(self) -> bool:
        if not self._tasks:
            return False
        await self._clock.set(
            self._stage.owner, self._clock.true_ms + self._chance.choice((3_000, 5_001, 90_000))
        )
        return True

    async def _kill(self) -> bool:
        """The worker's next life knows nothing."""
        if not self._tasks:
            return False
        self._chance.choice(list(self._tasks)).cancel()
        place = self._chance.randrange(len(self._workers))
        self.result.late_count += self._workers[place].late_count
        self._workers[place] = self._new_worker(place)
        return True

    async def _cut(self) -> bool:
        await self._stage.owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE '%limits%' AND datname = current_database() "
            "AND random() < 0.5"
        )
        return True

    async def _stall(self) -> bool:
        """What is claimed within is charged, or the epoch it was permitted under has passed."""
        if not self._pile:
            return False
        items = list(self._pile)
        async with self._stage.beside.transaction():
            await self._stage.beside.execute(
                "SELECT 1 FROM work WHERE message_id = $1 FOR UPDATE SKIP LOCKED",
                items[0].message_id,
            )
            self._begin(items[: len(items) // 2], at_once=True)
            await self._run_for_a_moment()
            await self._wipe()
            self._begin(items[len(items) // 2 :], at_once=True)
            await self._run_for_a_moment()
        return True

    async def _restart_database(self) -> bool:
        await self._stage.crash_database()
        return True

    # How it ends

    async def _calm_down(self) -> None:
        self._clock.redis_ahead_ms = 0
        await self._settle()
        for worker in self._workers:
            await worker.look_after()

    async def _use_all(self, line_id: int) -> None:
        """A month later all tokens are back, two months where a permit was lost that was taken when
        Redis' clock was a month ahead, and nobody asked after it had come back. Then a minute in
        which more is wanted than the limits let through, and some comes back that a carrier
        refuses: it is used all the same. Nobody else waits, for where a long message does, tokens
        may lie idle until they are enough."""
        await self._step(72 * judge.DAY_MS)
        await self._stage.owner.execute("TRUNCATE work, parked_lines")
        begins_ms = self._clock.true_ms
        self._pile = await self._stage.accept([(line_id, 1)] * _LAST_MESSAGE_COUNT)
        self._journal.weights = OFTEN_PUT_OFF
        worker = self._workers[0]
        for place in range(_LAST_ROUND_COUNT):
            if place > 2:
                self._journal.weights = ALWAYS_TAKEN
            await self._serve_items(worker, self._take_pile(), _set_event())
            await self._step(4_000)
            await worker.look_after()
            await self._relay()
        used: Counter[str] = Counter()
        for each in self._journal.departures:
            if each.at_ms >= begins_ms:
                used.update(dict.fromkeys(each.scopes, each.segment_count))
        self.result.used_share = max(
            used[name] / most
            for name, limits in self._limits.items()
            for most in (limits.hour, limits.day, limits.month)
            if most is not None
        )

    def _take_pile(self) -> list[envelopes.WorkItem]:
        items, self._pile = self._pile, []
        return items

    async def _conclude(self) -> None:
        departures = self._journal.departures
        self.result.fullest = judge.fullest(departures, self._limits)
        self.result.segment_count = sum(each.segment_count for each in departures)
        self.result.returned_count = self._journal.returned_count
        self.result.late_count += sum(worker.late_count for worker in self._workers)
        charged = await self._stage.owner.fetchval(
            "SELECT coalesce(sum(segment_count), 0)::bigint FROM limit_usage WHERE scope = $1",
            _PLATFORM,
        )
        self.result.uncharged_count = max(0, self.result.segment_count - charged)


_PLATFORM = f"country:{stage.COUNTRY}"
_ACCOUNT = f"country:1:{stage.COUNTRY}"

_SUFFER: Mapping[Fault, Callable[[FaultRun], Any]] = {
    Fault.WIPED: FaultRun._wipe,
    Fault.RESTARTED: FaultRun._restart,
    Fault.ROLLED_BACK: FaultRun._roll_back,
    Fault.JUMPED: FaultRun._jump,
    Fault.PAUSED: FaultRun._pause,
    Fault.KILLED: FaultRun._kill,
    Fault.CUT: FaultRun._cut,
    Fault.STALLED: FaultRun._stall,
    Fault.DATABASE: FaultRun._restart_database,
}


def _some_limits(chance: random.Random, current: snapshot.Configuration) -> dict[str, Limits]:
    """Small ones: of each line, and sometimes of the country."""
    found = {f"line:{line_id}": _limits(chance, 4) for line_id in current.lines}
    if chance.random() < 0.4:
        found[_PLATFORM] = _limits(chance, 6)
    if chance.random() < 0.4:
        found[_ACCOUNT] = _limits(chance, 6)
    return found


def _limits(chance: random.Random, least: int) -> Limits:
    hour = chance.randint(least, least + 5)
    day = chance.choice((None, hour + chance.randint(0, 6)))
    month = chance.choice((None, (day or hour) + chance.randint(0, 8)))
    return Limits(hour, day, month)


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
