"""`./test bench`: real servers with fsync on, real processes, three loads, one table each."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import uvloop

from deploy.local import binaries
from deploy.local.servers import Servers
from tests import servers
from tests.bench import (
    callbacks,
    contender,
    course,
    figures,
    kannel,
    profiles,
    report,
    rivals,
    stage,
    surroundings,
)
from tests.bench.growth import command as growth
from tests.bench.lines import command as lines
from tests.bench.stats import command as stats

_WARM_UP_COUNT = 500
_PACED_SECONDS = 6.0
_PACED_CONNECTIONS = 400
"""So many that no arrival waits for another's answer, unless answers take a fifth of a second."""

_OTHERS = {
    "callbacks": callbacks.main,
    "growth": growth.main,
    "lines": lines.main,
    "stats": stats.main,
}
_LOADS = ("batch", "single", "paced")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and prove; 1 if the proof fails."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in _OTHERS:
        return _OTHERS[given[0]](given[1:])
    parser = _parser()
    options = parser.parse_args(given)
    if options.rivals and binaries.find(binaries.KANNEL) is None:
        parser.error("Kannel is not installed: ./test bench --rivals gets it")
    # Ended by a signal, it still stops all that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            servers.throwaway(durable=True) as started,
            tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(_bench(options, started, Path(folder)))
    except contender.NotProved as problem:
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
        epilog="./test bench callbacks --help: how long carriers wait for their calls' answers. "
        "./test bench growth --help: whether it stays as fast as it grows. "
        "./test bench lines --help: what parking costs at scale. "
        "./test bench stats --help: what statistics and exports of ten million messages take.",
    )
    parser.add_argument("--messages", type=int, default=20_000, help="messages a load (20000)")
    parser.add_argument(
        "--only",
        choices=_LOADS,
        help="run one load only; paced runs single before it, unless --rate is given",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        metavar="N",
        help="requests a second of the paced load (half of what single requests reached)",
    )
    parser.add_argument(
        "--rivals",
        action="store_true",
        help="measure Kannel as well, in turn with ours: the same simulator and messages, in "
        "memory and with its spool",
    )
    parser.add_argument(
        "--rival-windows",
        type=int,
        nargs="+",
        default=[1000, 100],
        metavar="N",
        help="Kannel's max-pending-submits (1000 100); ours has 1000 in all, its own default is 10",
    )
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
        "--accounts", type=int, default=1, metavar="N", help="that send in turn (1)"
    )
    parser.add_argument(
        "--lines",
        type=int,
        default=0,
        metavar="N",
        help="of each account, beside its default one (0)",
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
    counts = {role: getattr(options, role) for role in ("ingest", "dispatcher", "dlr")}
    samples = {role: folder / f"samples-{role}.jsonl" for role in options.profile}
    crew = stage.Crew(counts, samples, options.receipt_ms, options.accounts, options.lines)
    async with stage.built(started, folder, crew) as where:
        found = await surroundings.describe(started, where.database, folder)
        runs = await _run_all(where, options)
        verdict = await asyncio.to_thread(where.fleet.audit)
    _print(counts, runs)
    for role, path in samples.items():
        _print_profiles(role, runs, path)
    report.print_surroundings(found)
    if options.json:
        _write(options.json, counts, found, runs)
    return _conclude(verdict, sum(run.count for run in runs))


async def _run_all(where: stage.Stage, options: argparse.Namespace) -> list[course.Run]:
    """All runs in turn, each load warmed up first; every message has a number of its own."""
    chosen = _chosen(options)
    first = 0
    for load in chosen:
        if load.name == "paced":
            continue
        with report.console.status(f"warming up: {load.name}"):
            await course.run(where, load, first, _WARM_UP_COUNT)
        first += _WARM_UP_COUNT
    everyone = rivals.in_turn(
        chosen, rivals.setups(options.rival_windows) if options.rivals else ()
    )
    runs: list[course.Run] = []
    for number in range(1, options.repeat + 1):
        for each in everyone:
            with report.console.status(f"{each.name}, run {number} of {options.repeat}"):
                runs.append(await _run(where, each, options, first, runs))
            first += rivals.message_count(options.messages)
    return runs


async def _run(
    where: stage.Stage,
    each: contender.Load | kannel.Setup,
    options: argparse.Namespace,
    first: int,
    before: Sequence[course.Run],
) -> course.Run:
    if isinstance(each, kannel.Setup):
        return await rivals.run(where, each, options.connections, first, options.messages)
    if each.name == "paced":
        load, count = _paced(each, options.messages, before)
        return await course.run(where, load, first, count)
    return await course.run(where, each, first, options.messages)


def _chosen(options: argparse.Namespace) -> list[contender.Load]:
    loads = [
        contender.Load("batch", options.batch_size, options.in_flight),
        contender.Load("single", 0, options.connections),
        contender.Load("paced", 0, _PACED_CONNECTIONS, options.rate),
    ]
    names = {options.only} if options.only else set(_LOADS)
    if options.only == "paced" and not options.rate:
        names.add("single")
    return [load for load in loads if load.name in names]


def _paced(
    load: contender.Load, count: int, runs: Sequence[course.Run]
) -> tuple[contender.Load, int]:
    """The load at its rate, half of what single requests reached last, and messages for it."""
    rate = load.per_second or next(
        run.figures.recorded_per_second / 2 for run in reversed(runs) if run.load.name == "single"
    )
    return replace(load, per_second=rate), min(count, int(rate * _PACED_SECONDS))


def _print(counts: dict[str, int], runs: Sequence[course.Run]) -> None:
    processes = ", ".join(f"{count} {role}" for role, count in counts.items())
    medians = _medians(runs)
    for name, found in medians.items():
        each = [run for run in runs if run.load.name == name]
        title = f"{name}: {each[0].count:,} messages by {each[0].load.description}"
        if each[0].load.face == "native":
            title += f"; {processes}"
        if len(each) > 1:
            title += f"; medians of {len(each)} runs"
        report.print_figures(title, found)
    ratios = rivals.ratios(medians)
    if ratios:
        report.print_rivals(medians, ratios)


def _medians(runs: Sequence[course.Run]) -> dict[str, figures.Figures]:
    """By the name of the load."""
    names = dict.fromkeys(run.load.name for run in runs)
    return {
        name: figures.median([run.figures for run in runs if run.load.name == name])
        for name in names
    }


def _print_profiles(role: str, runs: Sequence[course.Run], samples: Path) -> None:
    for run in runs:
        if run.load.face != "native":
            continue
        found = profiles.profile(samples, run.started_at, run.ended_at)
        report.print_profile(role, run.load.name, found, run.figures.cpu_micro[role])


def _write(
    path: Path,
    counts: dict[str, int],
    found: dict[str, str],
    runs: Sequence[course.Run],
) -> None:
    content = {
        "surroundings": found,
        "processes": counts,
        "runs": [asdict(run) for run in runs],
        "ratios": {
            rival: {name: asdict(ratio) for name, ratio in each.items()}
            for rival, each in rivals.ratios(_medians(runs)).items()
        },
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
