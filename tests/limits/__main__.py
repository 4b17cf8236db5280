"""`./test limits`: thousands of runs with faults, and the guards that the same judge must miss."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from deploy.local import place, postgres
from tests.limits import controls, stage, tally
from tests.limits.run import FaultRun
from tests.servers import as_services

CONTROL_RUN_COUNT_MAX = 300
"""Within so many runs a missing guard must be seen."""
_TOLD_EVERY_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print and judge; 1 if a limit was exceeded, or a control was not caught."""
    options = _parser().parse_args(arguments)
    # The faults are meant; what the product logs about them is not for here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="sluice-limits-") as name:
        folder = Path(name)
        database = postgres.Postgres(place.choose(folder), durable=False)
        try:
            database.start()
            return asyncio.run(_play(options, database, folder))
        except KeyboardInterrupt:
            return 130
        finally:
            database.abandon()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./test limits",
        description="Tries to get a limit exceeded: runs of dispatchers on a real Redis and a real "
        "PostgreSQL, with time that passes by months and faults wherever they hurt. What left is "
        "held against every limit in every rolling window. Then the same with one guard of the "
        "limiter taken out, which must be seen.",
    )
    parser.add_argument("--runs", type=int, default=2_000, help="runs of the limiter (2000)")
    parser.add_argument("--seed", type=int, help="of the first run; the next have the next ones")
    parser.add_argument("--no-controls", action="store_true", help="leave out the controls")
    return parser


async def _play(options: argparse.Namespace, database: postgres.Postgres, folder: Path) -> int:
    def restart() -> None:
        database.process.kill()
        database.start()

    redis_folder = folder / "own-redis"
    redis_folder.mkdir()
    first = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    tally.console.print(f"seeds {first} to {first + options.runs - 1}", style="bold")
    url = database.owner_url
    async with stage.opened(url, as_services(url), redis_folder, restart) as where:
        found = await _runs(where, range(first, first + options.runs))
        missed = [] if options.no_controls else await _controls(where, first)
    return 1 if found.bad or missed else 0


async def _runs(where: stage.Stage, seeds: Sequence[int]) -> tally.RunTally:
    found, began = tally.RunTally(), time.monotonic()
    told = began
    with controls.played(where.clock):
        for seed in seeds:
            found.add(await FaultRun(where, seed).play())
            if time.monotonic() - told > _TOLD_EVERY_SECONDS:
                told = time.monotonic()
                tally.console.print(
                    f"  {found.run_count:,} of {len(seeds):,} runs, {len(found.bad)} bad",
                    style="dim",
                )
    found.show(time.monotonic() - began)
    return found


async def _controls(where: stage.Stage, first: int) -> list[str]:
    """Those that were not caught."""
    missed = []
    tally.console.print("\nwith one guard taken out, seen exceeding a limit in run", style="bold")
    for control in controls.all_controls():
        caught = await caught_in(where, control, range(first, first + CONTROL_RUN_COUNT_MAX))
        tally.console.print(f"  {control.name:<42} {caught or 'never':>6}")
        if caught is None:
            missed.append(control.name)
    return missed


async def caught_in(
    where: stage.Stage, control: controls.Control, seeds: Sequence[int]
) -> int | None:
    """How many runs it took until the judge saw that the guard is missing; None: never."""
    with controls.played(where.clock, control):
        for count, seed in enumerate(seeds, 1):
            result = await FaultRun(where, seed, control.faults, control.make_permits).play()
            if result.over:
                return count
    return None


if __name__ == "__main__":
    sys.exit(main())
