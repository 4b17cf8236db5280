"""`./test bench`: real servers with fsync on, real processes, two loads, one table each."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from deploy.local.servers import Servers
from tests import servers
from tests.bench import course, figures, profiles, report, stage, surroundings

_WARM_UP_COUNT = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and prove; 1 if the proof fails."""
    options = _parser().parse_args(arguments)
    # Ended by a signal, it still stops all that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            servers.throwaway(durable=True) as started,
            tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder,
        ):
            return asyncio.run(_bench(options, started, Path(folder)))
    except course.NotProved as problem:
        report.console.print(f"\nnot proved: {problem}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./test bench",
        description="Measures Sluice on private servers with fsync on, from the first request to "
        "the last receipt recorded in PostgreSQL, and proves with the carrier's journal and "
        "`sluice audit` that nothing was lost or doubled. The load generator is a process of its "
        "own, listed with the others.",
    )
    parser.add_argument("--messages", type=int, default=20_000, help="messages a load (20000)")
    parser.add_argument("--only", choices=("batch", "single"), help="run one load only")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown")
    parser.add_argument("--batch-size", type=int, default=500, help="messages a batch (500)")
    parser.add_argument("--in-flight", type=int, default=4, help="batches at a time (4)")
    parser.add_argument("--connections", type=int, default=64, help="for single requests (64)")
    parser.add_argument(
        "--receipt-ms", type=int, default=0, help="how long the carrier waits with a receipt (0)"
    )
    for role in ("ingest", "dispatcher", "dlr"):
        parser.add_argument(
            f"--{role}", type=int, default=1, metavar="N", help=f"processes of {role} (1)"
        )
    parser.add_argument(
        "--profile",
        choices=stage.ROLES,
        action="append",
        default=[],
        help="show where this role's CPU goes (its first process); may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures")
    return parser


async def _bench(options: argparse.Namespace, started: Servers, folder: Path) -> int:
    loads = [
        course.Load("batch", options.batch_size, options.in_flight),
        course.Load("single", 0, options.connections),
    ]
    chosen = [load for load in loads if options.only in (None, load.name)]
    counts = {role: getattr(options, role) for role in ("ingest", "dispatcher", "dlr")}
    samples = {role: folder / f"samples-{role}.jsonl" for role in options.profile}
    async with stage.built(
        started, folder, stage.Crew(counts, samples, options.receipt_ms)
    ) as where:
        found = await surroundings.describe(started, where.database, folder)
        runs = await _run_all(where, chosen, options.messages, options.repeat)
        verdict = await asyncio.to_thread(where.fleet.audit)
    _print(options, chosen, counts, runs)
    for role, path in samples.items():
        _print_profiles(role, runs, path)
    report.print_surroundings(found)
    if options.json:
        _write(options.json, options.messages, counts, found, runs)
    return _conclude(verdict, len(runs) * options.messages)


async def _run_all(
    where: stage.Stage, loads: Sequence[course.Load], count: int, repeat: int
) -> list[course.Run]:
    """All runs in turn, each load warmed up first; every message has a number of its own."""
    first = 0
    for load in loads:
        with report.console.status(f"warming up: {load.name}"):
            await course.run(where, load, first, _WARM_UP_COUNT)
        first += _WARM_UP_COUNT
    runs = []
    for number in range(1, repeat + 1):
        for load in loads:
            with report.console.status(f"{load.name}, run {number} of {repeat}"):
                runs.append(await course.run(where, load, first, count))
            first += count
    return runs


def _print(
    options: argparse.Namespace,
    loads: Sequence[course.Load],
    counts: dict[str, int],
    runs: Sequence[course.Run],
) -> None:
    processes = ", ".join(f"{count} {role}" for role, count in counts.items())
    for load in loads:
        each = [run.figures for run in runs if run.load is load]
        title = f"{load.name}: {options.messages:,} messages by {load.description}; {processes}"
        if len(each) > 1:
            title += f"; medians of {len(each)} runs"
        report.print_figures(title, figures.median(each))


def _print_profiles(role: str, runs: Sequence[course.Run], samples: Path) -> None:
    for run in runs:
        found = profiles.profile(samples, run.started_at, run.ended_at)
        report.print_profile(role, run.load.name, found, run.figures.cpu_micro[role])


def _write(
    path: Path,
    count: int,
    counts: dict[str, int],
    found: dict[str, str],
    runs: Sequence[course.Run],
) -> None:
    content = {
        "surroundings": found,
        "processes": counts,
        "messages": count,
        "runs": [asdict(run) for run in runs],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _conclude(verdict: dict[str, object], count: int) -> int:
    if not verdict["ok"]:
        report.console.print(f"sluice audit found breaches: {verdict}", style="red", markup=False)
        return 1
    report.console.print(
        f"\nproved: {count:,} messages, each delivered, each once in the carrier's journal; "
        "`sluice audit` is ok"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
