"""`./test bench growth`: a small and a large Sluice side by side, loaded in turn."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from tests.bench import contender, report
from tests.bench.growth import case, outcome

SMALL = case.Size(stored=10_000, lines=10, accounts=1, backlog=10_000)
_DEFAULT = case.Size(stored=500_000, lines=10_000, accounts=100, backlog=100_000)
_FULL = case.Size(stored=10_000_000, lines=100_000, accounts=1_000, backlog=1_000_000)
_WARM_UP_COUNT = 1_000
_REST_SECONDS = 10.0
_SETTLE_SECONDS = 12.0
"""After messages until nothing follows from them any more: sums are added up every ten seconds."""
_AUDIT_SECONDS = 3_600.0

Either = TypeVar("Either")


def main(arguments: Sequence[str]) -> int:
    """Fill, measure, print and prove; 1 if the proof fails."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_grow(options))
    except contender.NotProved as problem:
        report.console.print(f"\nnot proved: {problem}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./test bench growth",
        description="Measures whether Sluice stays as fast as it grows: a small one (10,000 stored "
        "messages, 10 lines of 1 account, a backlog of 10,000) and a large one run beside each "
        "other, each on servers of its own, and are loaded in turn, once each line has sent a "
        "message. The defaults take about six minutes; --full, the sizes that are promised, takes "
        "most of an hour and 20 GB of disk.",
    )
    parser.add_argument("--stored", type=int, help=f"messages stored ({_DEFAULT.stored})")
    parser.add_argument("--lines", type=int, help=f"lines of all accounts ({_DEFAULT.lines})")
    parser.add_argument("--accounts", type=int, help=f"accounts ({_DEFAULT.accounts})")
    parser.add_argument("--backlog", type=int, help=f"ready messages ({_DEFAULT.backlog})")
    parser.add_argument(
        "--full",
        action="store_true",
        help="10,000,000 messages, 100,000 lines, 1,000 accounts, a backlog of 1,000,000, as far "
        "as nothing else is said of them",
    )
    parser.add_argument("--messages", type=int, default=20_000, help="messages a load (20000)")
    parser.add_argument(
        "--repeat", type=int, default=5, help="pairs of runs of each load; medians (5)"
    )
    parser.add_argument(
        "--statements",
        action="store_true",
        help="have PostgreSQL count what each statement takes, and show where the two differ",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    return parser


def large(options: argparse.Namespace) -> case.Size:
    """The size of the large one: what is given, and for the rest --full or the default."""
    usual = _FULL if options.full else _DEFAULT
    given = {each.name: getattr(options, each.name) for each in fields(case.Size)}
    return replace(usual, **{name: count for name, count in given.items() if count is not None})


async def _grow(options: argparse.Namespace) -> int:
    size = large(options)
    with report.console.status("starting two Sluices") as status:
        async with AsyncExitStack() as stack:
            cases = [
                await stack.enter_async_context(
                    case.opened(name, each, status.update, is_watched=options.statements)
                )
                for name, each in (("small", SMALL), ("large", size))
            ]
            await _measure(cases, options, status.update)
            found = outcome.Outcome(*(outcome.of(each) for each in cases))
            outcome.show(found)
            if options.json:
                text = json.dumps(outcome.as_json(found), indent=2, ensure_ascii=False)
                options.json.write_text(text + "\n", "utf-8")
            status.update("auditing")
            verdicts = [
                await asyncio.to_thread(each.where.fleet.audit, _AUDIT_SECONDS) for each in cases
            ]
    return _conclude(verdicts)


async def _measure(
    cases: Sequence[case.Case], options: argparse.Namespace, show: Callable[[str], None]
) -> None:
    """Each thing in turn on both, so that what the machine does meanwhile meets both."""
    loads = [contender.Load("batch", 500, 4), contender.Load("single", 0, 64)]
    for each in cases:
        show(f"{each.name}: each line sends a message that does not count")
        for load in loads:
            await each.warm_up(load, _WARM_UP_COUNT)
        # Single requests go to all accounts and lines in turn.
        await each.warm_up(loads[-1], max(_WARM_UP_COUNT, each.size.lines))
    show("at rest")
    await asyncio.sleep(_SETTLE_SECONDS)
    await asyncio.gather(*(each.rest(_REST_SECONDS) for each in cases))
    for number in range(options.repeat):
        for each in _in_turn(cases, number):
            show(f"{each.name}: reading messages, {number + 1} of {options.repeat}")
            await each.visit(number, options.repeat)
    for number in range(options.repeat):
        for load in loads:
            for each in _in_turn(cases, number):
                show(f"{each.name}: {load.name}, run {number + 1} of {options.repeat}")
                await each.load(load, options.messages)
    # What is small is over within seconds.
    for each in (*cases, cases[0]):
        show(f"{each.name}: draining a backlog of {each.size.backlog:,}")
        await each.drain()


def _in_turn(cases: Sequence[Either], number: int) -> Sequence[Either]:
    """Now the one first and now the other, so that neither has always the later moment."""
    return cases if number % 2 == 0 else cases[::-1]


def _conclude(verdicts: Sequence[dict[str, Any]]) -> int:
    breaches = [verdict for verdict in verdicts if not verdict["ok"]]
    if breaches:
        report.console.print(f"sluice audit found breaches: {breaches}", style="red", markup=False)
        return 1
    report.console.print("\nproved: all that was sent was delivered once; both audits are ok")
    return 0
