"""One of the two that are compared: a Sluice of some size, and what is measured of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import servers
from tests.bench import contender, course, figures, stage
from tests.bench.growth import population, statements, visits

_CREW = {"ingest": 1, "dispatcher": 1, "dlr": 1}
_POLL_SECONDS = 0.05
_SLOWEST_PER_SECOND = 500.0
_IDLE_PARTS = (*_CREW, "PostgreSQL")
_REST_COUNT_MAX = 15
_VACUUMED = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')
    OR EXISTS (SELECT FROM pg_stat_all_tables
               WHERE greatest(last_autovacuum, last_autoanalyze) > now() - $1 * interval '1 second')
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything."""

    stored: int
    lines: int
    """Of all accounts together."""
    accounts: int
    backlog: int
    """Messages that are ready at one moment; they are drained."""

    @property
    def lines_each(self) -> int:
        """Lines of each account."""
        return max(1, self.lines // self.accounts)


@dataclass(slots=True)
class Case:
    """A Sluice of some size, and its figures so far, by what was measured."""

    name: str
    size: Size
    where: stage.Stage
    runs: dict[str, list[figures.Figures]] = field(default_factory=dict)
    drained_per_second: list[float] = field(default_factory=list)
    drain_micro: dict[str, float] = field(default_factory=dict)
    """CPU of a drained message, by part, the last time."""
    idle_share: dict[str, float] = field(default_factory=dict)
    """Of a core, by part, while nothing is asked of it."""
    passes: list[list[visits.Waits]] = field(default_factory=list)
    is_watched: bool = False
    """Whether PostgreSQL counts what statements take."""
    costs: dict[str, Mapping[str, statements.Cost]] = field(default_factory=dict)
    """Of each load's last run, and of the drain, by statement."""
    _first: int = 0

    async def load(self, load: contender.Load, count: int) -> None:
        """Send so many messages and keep the figures."""
        async with self._watched(load.name, count):
            run = await course.run(self.where, load, self._first, count)
        self._first += count
        self.runs.setdefault(load.name, []).append(run.figures)

    @asynccontextmanager
    async def _watched(self, name: str, count: int) -> AsyncIterator[None]:
        if not self.is_watched:
            yield
            return
        await statements.begin(self.where.database)
        yield
        self.costs[name] = await statements.take(self.where.database, count)

    async def warm_up(self, load: contender.Load, count: int) -> None:
        """Send messages that do not count."""
        await course.run(self.where, load, self._first, count)
        self._first += count

    async def drain(self) -> None:
        """Store the backlog at one moment, and time it to its last receipt."""
        count = self.size.backlog
        await self.where.begin()
        await population.queue(self.where.database, count)
        began, before = time.monotonic(), self.where.meters.read().cpu_seconds
        seconds = 60 + count / _SLOWEST_PER_SECOND
        async with asyncio.timeout(seconds), self._watched("drain", count):
            while self.where.journal.follow() < count or await self.where.receipt_count() < count:
                await asyncio.sleep(_POLL_SECONDS)
        self.drained_per_second.append(count / (time.monotonic() - began))
        after = self.where.meters.read().cpu_seconds
        self.drain_micro = {part: (after[part] - before[part]) * 1e6 / count for part in after}
        await self.where.prove(count)
        submits = self.where.journal.take()
        if len(submits) != count or any(len(times) > 1 for times in submits.values()):
            raise contender.NotProved(f"of a backlog of {count:,}, {len(submits):,} were submitted")

    async def rest(self, seconds: float) -> None:
        """Ask nothing of it for so long, and see what its sweeps take; again where PostgreSQL has
        cleaned up meanwhile after what was filled in."""
        for _ in range(_REST_COUNT_MAX):
            before = self.where.meters.read().cpu_seconds
            await asyncio.sleep(seconds)
            after = self.where.meters.read().cpu_seconds
            self.idle_share = {part: (after[part] - before[part]) / seconds for part in _IDLE_PARTS}
            if not await self.where.database.fetchval(_VACUUMED, seconds):
                break

    async def visit(self, place: int, of: int) -> None:
        """Read messages as their producer, for the time at this place of so many."""
        self.passes.append(await visits.measure(self.where, place, of))


@asynccontextmanager
async def opened(
    name: str, size: Size, show: Callable[[str], None], *, is_watched: bool = False
) -> AsyncIterator[Case]:
    """Start servers and a fleet of its own, and fill it; all of it goes in the end."""
    with (
        servers.throwaway(durable=True) as started,
        tempfile.TemporaryDirectory(prefix="sluice-growth-") as folder,
    ):
        if is_watched:
            await statements.watch(started)
        crew = stage.Crew(_CREW, {}, 0, size.accounts, size.lines_each)
        async with stage.built(started, Path(folder), crew) as where:
            began = time.monotonic()
            async for done in population.send(where.database, size.stored):
                seconds = time.monotonic() - began
                show(f"{name}: {done:,} of {size.stored:,} messages stored, {seconds:.0f} s")
            yield Case(name, size, where, is_watched=is_watched)
