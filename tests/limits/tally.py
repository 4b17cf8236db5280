"""What many runs come to, and how it is told."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import rich.console
import rich.table

from tests.limits.run import Fault, RunResult

USED_SHARE_MIN = 0.8
_PLAIN_WIDTH = 120

console = rich.console.Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


@dataclass(slots=True)
class RunTally:
    """The sum of runs without a verdict on any of them but the bad ones."""

    run_count: int = 0
    segment_count: int = 0
    returned_count: int = 0
    late_count: int = 0
    limit_count: int = 0
    full_count: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    used_shares: list[float] = field(default_factory=list)
    bad: list[RunResult] = field(default_factory=list)

    def add(self, result: RunResult) -> None:
        """One run more; a bad one is told at once, with the seed that may repeat it."""
        self.run_count += 1
        self.segment_count += result.segment_count
        self.returned_count += result.returned_count
        self.late_count += result.late_count
        self.limit_count += len(result.fullest)
        self.full_count += sum(each.segment_count >= each.limit for each in result.fullest)
        self.faults += result.faults
        self.used_shares.append(result.used_share)
        if result.over or result.uncharged_count or result.used_share < USED_SHARE_MIN:
            self.bad.append(result)
            console.print(f"bad: --seed {result.seed} --runs 1: {_why(result)}", style="red")

    def show(self, seconds: float) -> None:
        """A table of figures."""
        over = [each for each in self.bad if each.over]
        table = rich.table.Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        for fault in Fault:
            table.add_row(f"  {fault}", f"{self.faults[fault]:,}")
        for name, value in (
            ("runs", f"{self.run_count:,} in {seconds:.0f} s"),
            ("faults", f"{self.faults.total():,}"),
            ("segments that left", f"{self.segment_count:,}"),
            ("tokens given back", f"{self.returned_count:,}"),
            ("permits too late to be used", f"{self.late_count:,}"),
            ("limits judged in every rolling window", f"{self.limit_count:,}"),
            ("of them reached to the last segment", f"{self.full_count:,}"),
            ("used at the end, median and least", _shares(self.used_shares)),
            ("segments that PostgreSQL does not know", f"{_uncharged(self.bad):,}"),
            ("runs with a limit exceeded", f"{len(over):,}"),
            ("so, at 95 %, in fewer than", f"1 of {max(1, self.run_count // 3):,}"),
        ):
            table.add_row(name, value)
        console.print(table)


def _shares(shares: list[float]) -> str:
    return f"{statistics.median(shares):.0%}, {min(shares):.0%}" if shares else "-"


def _uncharged(results: Iterable[RunResult]) -> int:
    return sum(each.uncharged_count for each in results)


def _why(result: RunResult) -> str:
    over = [
        f"{each.segment_count} of {each.limit} in one {each.window} of {each.scope}"
        for each in result.fullest
        if each.over
    ]
    return ", ".join(
        [
            *over,
            f"{result.uncharged_count} not charged",
            f"{result.used_share:.0%} used",
            *(f"{name} ({count})" for name, count in result.faults.items()),
        ]
    )
