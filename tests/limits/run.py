"""One run: a crew, and the faults that it suffers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.broker import envelopes
from shared.limits import permits
from tests.limits import clock, judge, stage
from tests.limits.crew import PLATFORM, Crew, MakePermits
from tests.limits.worker import ALWAYS_TAKEN, OFTEN_PUT_OFF

_ACTION_COUNT = 36
_MESSAGE_COUNT = 48
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


class FaultRun(Crew):
    """Plays what the seed says."""

    def __init__(
        self,
        where: stage.Stage,
        seed: int,
        faults: Collection[Fault] = tuple(Fault),
        make_permits: MakePermits = permits.Permits,
    ) -> None:
        super().__init__(where, random.Random(seed), make_permits)
        self.result = RunResult(seed)
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
            "SELECT coalesce(sum(segment_count), 0)::bigint FROM limit_usage WHERE scope LIKE $1",
            PLATFORM if PLATFORM in self._limits else "line:%",
        )
        self.result.uncharged_count = max(0, self.result.segment_count - charged)


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


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
