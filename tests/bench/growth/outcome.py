"""What came of a comparison: the small and the large case, their ratios, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import rich.table

from tests.bench import figures
from tests.bench.growth import case, statements, visits
from tests.bench.report import console

RATIO_MIN = 0.9
IDLE_SHARE_MAX = 0.05
LIST_P99_MS_MAX = 20.0
ONE_P99_MS_MAX = 5.0
_SHOWN_MICRO = 0.5


@dataclass(frozen=True, slots=True)
class Side:
    """One case's figures; of several runs the medians."""

    size: case.Size
    loads: Mapping[str, figures.Figures]
    rates: Mapping[str, Sequence[float]]
    """Receipts recorded a second in each run of a load."""
    drained_per_second: float
    drain_micro: Mapping[str, float]
    idle_share: Mapping[str, float]
    waits: Mapping[str, visits.Waits]
    costs: Mapping[str, Mapping[str, statements.Cost]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both cases."""

    small: Side
    large: Side

    def ratio(self, load: str) -> float:
        """Receipts recorded a second, the large case's by the small one's: the median over their
        pairs of runs, for what the machine does from one to the next pair meets both."""
        pairs = zip(self.large.rates[load], self.small.rates[load], strict=True)
        return statistics.median(large / small for large, small in pairs)

    @property
    def drain_ratio(self) -> float:
        """How fast a backlog goes, the large one by the small one."""
        return self.large.drained_per_second / self.small.drained_per_second


def of(each: case.Case) -> Side:
    """A case's figures."""
    return Side(
        each.size,
        {name: figures.median(found) for name, found in each.runs.items()},
        {name: [run.recorded_per_second for run in runs] for name, runs in each.runs.items()},
        statistics.median(each.drained_per_second),
        each.drain_micro,
        each.idle_share,
        {kind[0].name: visits.median(kind) for kind in zip(*each.passes, strict=True)},
        each.costs,
    )


def as_json(found: Outcome) -> dict[str, object]:
    """All figures and ratios."""
    return asdict(found) | {
        "ratios": {load: found.ratio(load) for load in found.small.loads}
        | {"drain": found.drain_ratio}
    }


def show(found: Outcome) -> None:
    """Print the tables: speed, rest, reading, memory."""
    sides = (found.small, found.large)
    table = _table("", "small", "large", "large : small", "target")
    for name in ("stored", "accounts", "lines", "backlog"):
        table.add_row(name, *(f"{getattr(side.size, name):,}" for side in sides))
    for load in found.small.loads:
        each = [side.loads[load] for side in sides]
        rates = (f"{one.recorded_per_second:,.0f}" for one in each)
        ratio = found.ratio(load)
        table.add_row(f"{load}, receipts/s", *rates, f"{ratio:.2f}", _target(ratio >= RATIO_MIN))
        costs = [one.cpu_micro_sum for one in each]
        micro = (f"{cost:,.0f}" for cost in costs)
        table.add_row(f"{load}, CPU µs/message", *micro, f"{costs[1] / costs[0]:.2f}")
        for part in found.small.loads[load].cpu_micro:
            parts = [one.cpu_micro[part] for one in each]
            micro = (f"{cost:,.0f}" for cost in parts)
            table.add_row(f"{load}, CPU µs/message: {part}", *micro, _quotient(*parts))
        wal = (f"{one.wal_bytes:,.0f}" for one in each)
        table.add_row(f"{load}, WAL bytes/message", *wal)
    drains = (f"{side.drained_per_second:,.0f}" for side in sides)
    kept = found.drain_ratio >= RATIO_MIN
    table.add_row("backlog drained/s", *drains, f"{found.drain_ratio:.2f}", _target(kept))
    for part in found.small.drain_micro:
        parts = [side.drain_micro[part] for side in sides]
        micro = (f"{cost:,.0f}" for cost in parts)
        table.add_row(f"backlog, CPU µs/message: {part}", *micro, _quotient(*parts))
    _show_rest(table, found)
    _show_reading(table, found)
    _show_memory(table, found)
    console.print()
    console.print(table)
    for load in found.small.costs:
        _show_costs(load, found)


def _show_costs(load: str, found: Outcome) -> None:
    """What each statement took, those first that growth makes dearest."""
    small, large = (side.costs[load] for side in (found.small, found.large))
    nothing = statements.Cost(0, 0, 0)
    pairs = {
        name: (small.get(name, nothing), large.get(name, nothing)) for name in {**small, **large}
    }
    table = _table(
        f"{load}: statements, a message", "µs small", "large", "more", "calls", "", "WAL", ""
    )
    worst = sorted(pairs.items(), key=lambda item: item[1][0].micro - item[1][1].micro)
    for name, (one, other) in worst:
        if max(one.micro, other.micro) >= _SHOWN_MICRO:
            table.add_row(
                name,
                f"{one.micro:,.1f}",
                f"{other.micro:,.1f}",
                f"{other.micro - one.micro:+,.1f}",
                *(f"{each.calls:.3f}" for each in (one, other)),
                *(f"{each.wal_bytes:,.0f}" for each in (one, other)),
            )
    console.print()
    console.print(table)


def _show_rest(table: rich.table.Table, found: Outcome) -> None:
    for part in found.small.idle_share:
        shares = (f"{side.idle_share[part]:.1%}" for side in (found.small, found.large))
        table.add_row(f"at rest, of a core: {part}", *shares)
    sums = [sum(side.idle_share.values()) for side in (found.small, found.large)]
    kept = sums[1] <= IDLE_SHARE_MAX
    table.add_row("at rest, of a core: sum", *(f"{each:.1%}" for each in sums), "", _target(kept))


def _show_reading(table: rich.table.Table, found: Outcome) -> None:
    for name in found.small.waits:
        each = [side.waits[name] for side in (found.small, found.large)]
        pairs = (f"{one.p50_ms:,.1f} / {one.p99_ms:,.1f}" for one in each)
        most = ONE_P99_MS_MAX if name == "one message" else LIST_P99_MS_MAX
        kept = each[1].p99_ms <= most
        table.add_row(f"GET {name}, p50 / p99 ms", *pairs, "", _target(kept))


def _show_memory(table: rich.table.Table, found: Outcome) -> None:
    """The peaks of the last load."""
    for part, small in found.small.loads["batch"].memory_mb.items():
        large = found.large.loads["batch"].memory_mb[part]
        row = (f"{small:,.0f}", f"{large:,.0f}", _quotient(small, large))
        table.add_row(f"memory, MB: {part}", *row)


def _quotient(small: float, large: float) -> str:
    return f"{large / small:.2f}" if small else ""


def _table(*headings: str) -> rich.table.Table:
    table = rich.table.Table(headings[0], box=None, pad_edge=False)
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _target(kept: bool) -> str:
    return "met" if kept else "missed"
