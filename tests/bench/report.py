"""What the benchmark prints."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping

import rich.console
import rich.table

from tests.bench import figures, profiles, rivals

_FUNCTION_COUNT = 25
_PACKAGE_COUNT = 15

_PLAIN_WIDTH = 120
"""Columns of a log or a file, which cannot say how wide they are."""

console = rich.console.Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def print_figures(title: str, found: figures.Figures) -> None:
    """One load: rates and latencies, then what every process cost."""
    console.print(f"\n{title}", style="bold", markup=False)
    rates = rich.table.Table(box=None, show_header=False, pad_edge=False)
    rates.add_column()
    rates.add_column(justify="right")
    for name, value in (
        ("accepted/s", f"{found.accepted_per_second:,.0f}"),
        ("submitted/s", f"{found.submitted_per_second:,.0f}"),
        ("receipts recorded/s", f"{found.recorded_per_second:,.0f}"),
        ("request → 202, p50 / p99 ms", _pair(found.request_p50_ms, found.request_p99_ms)),
        (
            "accept → submit, p50 / p99 ms",
            _pair(found.accept_to_submit_p50_ms, found.accept_to_submit_p99_ms),
        ),
        ("first request → last receipt, s", f"{found.wall_seconds:.2f}"),
        ("WAL, bytes/message", f"{found.wal_bytes:,.0f}" if found.wal_bytes else "-"),
    ):
        rates.add_row(name, value)
    console.print(rates)
    console.print(_costs(found))
    console.print(
        f"all cores: {found.idle_percent:.0f} % idle, {found.others_percent:.0f} % taken by "
        "programs outside the benchmark"
    )


def _pair(low: float, high: float) -> str:
    return f"{low:,.1f} / {high:,.1f}"


def _costs(found: figures.Figures) -> rich.table.Table:
    table = rich.table.Table("process", box=None, pad_edge=False)
    for heading in ("CPU µs/message", "share", "peak memory MB"):
        table.add_column(heading, justify="right")
    total = found.cpu_micro_sum
    for name, micro in found.cpu_micro.items():
        memory = found.memory_mb.get(name)
        table.add_row(
            name,
            f"{micro:,.1f}",
            f"{micro / total:.0%}",
            "" if memory is None else f"{memory:,.0f}",
        )
    memory_total = sum(found.memory_mb.values())
    table.add_row("sum", f"{total:,.1f}", "", f"{memory_total:,.0f}", style="bold")
    return table


def print_rivals(
    found: Mapping[str, figures.Figures], ratios: Mapping[str, Mapping[str, rivals.Ratio]]
) -> None:
    """All that was measured side by side, then ours divided by each rival."""
    table = rich.table.Table(
        "", box=None, pad_edge=False, title="side by side", title_justify="left"
    )
    for heading in ("accepted/s", "submitted/s", "receipts/s", "CPU µs/message"):
        table.add_column(heading, justify="right")
    for name, each in found.items():
        rates = (each.accepted_per_second, each.submitted_per_second, each.recorded_per_second)
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates), f"{each.cpu_micro_sum:,.0f}")
    console.print()
    console.print(table)
    divided = rich.table.Table("ours : theirs", box=None, pad_edge=False)
    names = list(dict.fromkeys(name for each in ratios.values() for name in each))
    for name in names:
        divided.add_column(f"{name}, receipts/s", justify="right")
        divided.add_column(f"{name}, CPU", justify="right")
    for rival, against in ratios.items():
        cells = [(f"{against[name].rate:.2f} ×", f"{against[name].cpu:.2f} ×") for name in names]
        divided.add_row(rival, *(cell for pair in cells for cell in pair))
    console.print()
    console.print(divided)


def print_profile(role: str, load: str, found: profiles.Profile, micro: float) -> None:
    """Where a role's CPU went in one load; `micro` is what it took per message."""
    console.print(
        f"\n{role}, {load}: {micro:,.1f} µs/message in {found.sample_count:,} samples",
        style="bold",
        markup=False,
    )
    scale = micro / max(1, found.sample_count)
    own = {f"{name}  {place}": count for (place, name), count in _top(found.own)}
    under = {f"{name}  {place}": count for (place, name), count in _top(found.under)}
    packages = dict(found.packages.most_common(_PACKAGE_COUNT))
    for title, counts in (
        ("package of the innermost Python function", packages),
        ("function itself, with the C it calls", own),
        ("our function, with all it calls", under),
    ):
        console.print(_shares(title, counts, found.sample_count, scale))


def _top(counts: Counter[profiles.Frame]) -> list[tuple[profiles.Frame, int]]:
    return counts.most_common(_FUNCTION_COUNT)


def _shares(
    title: str, counts: Mapping[str, int], sample_count: int, scale: float
) -> rich.table.Table:
    table = rich.table.Table(box=None, pad_edge=False)
    table.add_column("µs/message", justify="right", no_wrap=True, min_width=10)
    table.add_column("share", justify="right", no_wrap=True, min_width=6)
    table.add_column(title, no_wrap=True, overflow="ellipsis")
    for name, count in counts.items():
        table.add_row(f"{count * scale:,.1f}", f"{count / max(1, sample_count):.1%}", name)
    return table


def print_surroundings(found: Mapping[str, str]) -> None:
    """What the figures were measured on."""
    console.print()
    for name, value in found.items():
        console.print(f"{name}: {value}", markup=False, soft_wrap=True)
