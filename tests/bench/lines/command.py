"""`./test bench lines`: what parked lines cost at rest, how late they are let go, and whether one
long queue is noticed by others."""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import psutil
import uvloop

from deploy.local.servers import Servers
from tests import fleet, servers
from tests.bench import contender, delivered, report, stage
from tests.bench.lines import outcome, population

_CREW = {"ingest": 1, "dispatcher": 1, "dlr": 1}
_ACCOUNT_COUNT = 10
_CONNECTIONS = 100
_PER_MINUTE = 100
_RUN_COUNT, _RUN_SECONDS = 5, 6.0
"""Ingest closes connections that ask for nothing in their first 10 s."""
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
        "has come, and whether others notice a long queue on one line. Takes some five minutes.",
    )
    parser.add_argument("--lines", type=int, default=100_000, help="lines (100000)")
    parser.add_argument("--queue", type=int, default=100_000, help="parked on one line (100000)")
    parser.add_argument("--due", type=int, default=5_000, help="lines that are let go (5000)")
    parser.add_argument("--per-second", type=float, default=200, help="of them a second (200)")
    parser.add_argument("--rate", type=float, default=150, help="requests/s beside the queue (150)")
    parser.add_argument("--seconds", type=float, default=10, help="at rest (10)")
    return parser


@dataclass(slots=True)
class _Course:
    """One run of all measurements."""

    where: stage.Stage
    options: argparse.Namespace
    show: Callable[[str], None]
    first: int = 0

    async def run(self) -> outcome.Outcome:
        """One after the other, for each leaves behind what the next begins with."""
        options = self.options
        lines = await self._upper_half()
        (line_id,) = await self._line_ids("sender = 'Sluice'", 1)
        await population.limit(self.where.database, line_id, _PER_MINUTE)
        self.show("at rest, nothing parked")
        idle = await self._rest()
        self.show(f"parking on {len(lines):,} lines")
        await population.park(self.where.database, lines, 2)
        self.show(f"at rest, {len(lines):,} lines wait")
        waiting = await self._rest()
        self.show(f"letting {options.due:,} lines go, {options.per_second:,.0f} a second")
        late = await self._let_go()
        self.show("others, without a long queue")
        await self._waits_ms()  # does not count
        before = [await self._waits_ms() for _ in range(_RUN_COUNT)]
        self.show(f"parking {options.queue:,} messages on one line")
        await population.park(self.where.database, [line_id], options.queue)
        await population.trickle(self.where.database, line_id, _PER_MINUTE)
        self.show("others, beside a long queue")
        await self._waits_ms()
        beside = [await self._waits_ms() for _ in range(_RUN_COUNT)]
        return outcome.Outcome(
            lines=options.lines,
            parked_lines=len(lines),
            queue=options.queue,
            idle_share=idle,
            waiting_share=waiting,
            late_seconds=late,
            others_ms=(_medians(before), _medians(beside)),
        )

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

    async def _waits_ms(self) -> tuple[float, float]:
        """(p50, p99) from accepting to submitting on lines that nothing is parked on."""
        count = int(self.options.rate * _RUN_SECONDS)
        load = contender.Load("paced", 0, _CONNECTIONS, self.options.rate)
        lower = replace(self.where, line_count=self.where.line_count // 2)
        began = delivered.first_id(time.time())
        await _send(msgspec.json.encode(lower.order(load, self.first, count)))
        self.first += count
        statement = """
            SELECT count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY
                extract(epoch FROM s.submitted_at - m.created_at)::float8 * 1000)
            FROM messages m JOIN segments s USING (message_id)
            WHERE message_id >= $1 AND m.sender < $2 AND s.submitted_at IS NOT NULL"""
        limit = f"L{lower.line_count:06d}"
        async with asyncio.timeout(_LEFT_SECONDS):
            while True:
                ((found, waits),) = await self.where.database.fetch(statement, began, limit)
                if found == count:
                    return waits[0], waits[1]
                await asyncio.sleep(_POLL_SECONDS)


async def _send(order: bytes) -> None:
    """Have the load generator send what is ordered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.producer"),
        cwd=fleet.ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(order + b"\ngo\n")
    if said != b"ready\ndone\n":
        raise contender.NotProved("the load generator failed")


def _medians(waits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    p50, p99 = zip(*waits, strict=True)
    return statistics.median(p50), statistics.median(p99)


async def _measure(
    options: argparse.Namespace, started: Servers, folder: Path, crew: stage.Crew
) -> int:
    with report.console.status("starting") as status:
        async with stage.built(started, folder, crew) as where:
            found = await _Course(where, options, status.update).run()
            status.update("auditing")
            verdict = await asyncio.to_thread(where.fleet.audit, _AUDIT_SECONDS)
    outcome.show(found)
    if not verdict["ok"]:
        raise contender.NotProved(f"sluice audit found breaches: {verdict}")
    report.console.print("\nproved: `sluice audit` is ok")
    return 0 if found.kept else 1
