"""`./test bench lines`: what parked lines cost at rest, how late they are let go, and whether one
long queue is noticed by others."""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from deploy.local.servers import Servers
from tests import servers
from tests.bench import contender, report, stage
from tests.bench.lines import others, outcome, population

_CREW = {"ingest": 1, "dispatcher": 1, "dlr": 1}
_ACCOUNT_COUNT = 10
_EACH_COUNT = 2
"""Messages parked on each line that waits."""
_PER_MINUTE = 100
"""What the line of the long queue may send."""
_POLL_SECONDS = 0.2
_LEFT_SECONDS = 120.0
_AUDIT_SECONDS = 1_200.0


def main(arguments: Sequence[str]) -> int:
    """Fill, measure, print and prove; 1 if the proof fails or a target is missed."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            servers.throwaway(durable=True) as started,
            tempfile.TemporaryDirectory(prefix="sluice-lines-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            crew = stage.Crew(_CREW, {}, 0, _ACCOUNT_COUNT, options.lines // _ACCOUNT_COUNT)
            return runner.run(_measure(options, started, Path(folder), crew))
    except contender.NotProved as problem:
        report.console.print(f"\nnot proved: {problem}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./test bench lines",
        description="Measures parking at scale on servers of its own with fsync on: what the "
        "scheduler takes while half of all lines wait, how late lines are let go when their time "
        "has come, and whether others notice a long queue on one line. Each figure is printed as "
        "soon as it is known; takes some five minutes.",
    )
    parser.add_argument("--lines", type=int, default=100_000, help="lines (100000)")
    parser.add_argument("--queue", type=int, default=100_000, help="parked on one line (100000)")
    parser.add_argument("--due", type=int, default=5_000, help="lines that are let go (5000)")
    parser.add_argument("--per-second", type=float, default=200, help="of them a second (200)")
    parser.add_argument("--rate", type=float, default=150, help="requests/s beside the queue (150)")
    parser.add_argument(
        "--rounds", type=int, default=2, help="of others: without, beside, beside, without (2)"
    )
    parser.add_argument("--seconds", type=float, default=10, help="at rest (10)")
    return parser


@dataclass(slots=True)
class _Course:
    """One run of all measurements."""

    where: stage.Stage
    options: argparse.Namespace
    found: outcome.Outcome

    async def run(self) -> None:
        """One after the other, for each leaves behind what the next begins with."""
        options, found, database = self.options, self.found, self.where.database
        lines = await self._upper_half()
        (line_id,) = await self._line_ids("sender = 'Sluice'", 1)
        await population.limit(database, line_id, _PER_MINUTE)
        found.step(f"at rest, nothing is parked on {options.lines:,} lines")
        idle = await self._rest()
        found.step(f"at rest, {_EACH_COUNT * len(lines):,} messages wait on {len(lines):,} lines")
        await population.park(database, lines, _EACH_COUNT)
        found.add_rest(idle, await self._rest())
        found.step(f"{options.due:,} lines are let go, {options.per_second:,.0f} a second")
        found.add_late(await self._let_go())
        found.step(f"others, without and beside {options.queue:,} messages on one line, in turn")
        await population.park(database, [line_id], options.queue)
        await population.trickle(database, line_id, _PER_MINUTE)
        await population.set_aside(database, line_id)
        course = others.Course(self.where, options.rate, line_id, found.say)
        found.add_others(options.queue, await course.run(options.rounds))

    async def _upper_half(self) -> list[int]:
        return await self._line_ids(f"sender >= 'L{self.where.line_count // 2:06d}'", 10**9)

    async def _line_ids(self, condition: str, limit: int) -> list[int]:
        statement = f"SELECT line_id FROM lines WHERE {condition} ORDER BY line_id LIMIT {limit}"
        return [row["line_id"] for row in await self.where.database.fetch(statement)]

    async def _rest(self) -> dict[str, float]:
        """Shares of a core that the dispatcher and its backends take while nothing is asked."""
        await asyncio.sleep(3)
        before = await self._cpu_seconds()
        await asyncio.sleep(self.options.seconds)
        after = await self._cpu_seconds()
        return {part: (after[part] - before[part]) / self.options.seconds for part in after}

    async def _cpu_seconds(self) -> dict[str, float]:
        rows = await self.where.database.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sluice-dispatcher%'"
        )
        times = [psutil.Process(row["pid"]).cpu_times() for row in rows]
        return {
            "dispatcher": self.where.meters.read().cpu_seconds["dispatcher"],
            "its backends in PostgreSQL": sum(each.user + each.system for each in times),
        }

    async def _let_go(self) -> tuple[float, float]:
        await population.make_due(self.where.database, self.options.due, self.options.per_second)
        async with asyncio.timeout(self.options.due / self.options.per_second + _LEFT_SECONDS):
            while await population.still_parked(self.where.database):
                await asyncio.sleep(_POLL_SECONDS)
        return await population.lateness_seconds(self.where.database)


async def _measure(
    options: argparse.Namespace, started: Servers, folder: Path, crew: stage.Crew
) -> int:
    found = outcome.Outcome()
    found.step(f"starting with {options.lines:,} lines")
    async with stage.built(started, folder, crew) as where:
        await _Course(where, options, found).run()
        found.step("sluice audit")
        verdict = await asyncio.to_thread(where.fleet.audit, _AUDIT_SECONDS)
    found.show()
    if not verdict["ok"]:
        raise contender.NotProved(f"sluice audit found breaches: {verdict}")
    report.console.print("\nproved: `sluice audit` is ok")
    return 0 if found.kept else 1
