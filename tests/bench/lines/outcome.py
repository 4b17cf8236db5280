"""What came of it, beside what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import rich.table

from tests.bench.report import console

IDLE_SHARE_MAX = 0.05
LATE_SECONDS_MAX = 2.0
OTHERS_RATIO_MAX = 1.1

Pair = tuple[float, float]
"""p50 and p99."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All figures of a run."""

    lines: int
    parked_lines: int
    queue: int
    idle_share: Mapping[str, float]
    """Of a core, by part, while nothing is parked."""
    waiting_share: Mapping[str, float]
    """The same while half of the lines wait."""
    late_seconds: Pair
    others_ms: tuple[Pair, Pair]
    """Without the queue, and beside it."""

    @property
    def idle_kept(self) -> bool:
        """Whether waiting lines cost as little as promised, dispatcher and backends together."""
        return sum(self.waiting_share.values()) <= IDLE_SHARE_MAX

    @property
    def late_kept(self) -> bool:
        """Whether lines are let go as soon as promised."""
        return self.late_seconds[1] <= LATE_SECONDS_MAX

    @property
    def others_ratio(self) -> float:
        """Others' p99 beside the queue, by the one without."""
        return self.others_ms[1][1] / self.others_ms[0][1]

    @property
    def kept(self) -> bool:
        """Whether all is as promised."""
        return self.idle_kept and self.late_kept and self.others_ratio <= OTHERS_RATIO_MAX


def show(found: Outcome) -> None:
    """Print the table."""
    table = rich.table.Table("", box=None, pad_edge=False)
    for heading in ("without", "with", "promised", ""):
        table.add_column(heading, justify="right")
    table.add_row("lines; with parked messages", f"{found.lines:,}", f"{found.parked_lines:,}")
    for part, share in found.waiting_share.items():
        without = f"{found.idle_share[part]:.1%}"
        table.add_row(f"at rest, of a core: {part}", without, f"{share:.1%}")
    sums = [sum(each.values()) for each in (found.idle_share, found.waiting_share)]
    promised = f"≤ {IDLE_SHARE_MAX:.0%}"
    shares = [f"{each:.1%}" for each in sums]
    table.add_row("at rest, of a core: both", *shares, promised, _verdict(found.idle_kept))
    late = " / ".join(f"{each:.2f}" for each in found.late_seconds)
    promised = f"≤ {LATE_SECONDS_MAX:.0f} s at p99"
    table.add_row("let go late, p50 / p99 s", "", late, promised, _verdict(found.late_kept))
    waits = [f"{p50:,.1f} / {p99:,.1f}" for p50, p99 in found.others_ms]
    kept = found.others_ratio <= OTHERS_RATIO_MAX
    name = f"others beside {found.queue:,} on one line, p50 / p99 ms"
    table.add_row(name, *waits, "≤ +10 % at p99", f"{found.others_ratio - 1:+.0%} {_verdict(kept)}")
    console.print()
    console.print(table)


def _verdict(kept: bool) -> str:
    return "met" if kept else "missed"
