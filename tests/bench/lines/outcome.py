"""What came of it, beside what was promised: each figure as soon as it is known, then all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import rich.table

from tests.bench.lines import others
from tests.bench.report import console

IDLE_SHARE_MAX = 0.05
LATE_SECONDS_MAX = 2.0
OTHERS_RATIO_MAX = 1.1
STEP_COUNT = 6


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `kept` is None where nothing was promised."""

    name: str
    without: str
    beside: str
    promised: str = ""
    kept: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """As they are printed."""
        verdict = {None: "", True: "met", False: "missed"}[self.kept]
        return self.name, self.without, self.beside, self.promised, verdict


@dataclass(slots=True)
class Outcome:
    """All figures of a run, and how far it has come."""

    figures: list[Figure] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _step: int = 0

    @property
    def kept(self) -> bool:
        """Whether all is as promised."""
        return all(figure.kept is not False for figure in self.figures)

    def step(self, what: str) -> None:
        """The next step begins."""
        self._step += 1
        seconds = time.monotonic() - self._began
        console.print(f"[{self._step}/{STEP_COUNT}] {seconds:4.0f} s  {what}", markup=False)

    def say(self, what: str) -> None:
        """Something of the step that is going on."""
        console.print(f"{'':14}{what}", markup=False, soft_wrap=True)

    def add_rest(self, idle: Mapping[str, float], waiting: Mapping[str, float]) -> None:
        """Shares of a core by part, while nothing is parked and while lines wait."""
        for part, share in waiting.items():
            self._add(Figure(f"at rest, of a core: {part}", f"{idle[part]:.1%}", f"{share:.1%}"))
        without, beside = sum(idle.values()), sum(waiting.values())
        self._add(
            Figure(
                "at rest, of a core: both",
                f"{without:.1%}",
                f"{beside:.1%}",
                f"≤ {IDLE_SHARE_MAX:.0%}",
                beside <= IDLE_SHARE_MAX,
            )
        )

    def add_late(self, seconds: tuple[float, float]) -> None:
        """p50 and p99 from a line's time to its messages' submits."""
        self._add(
            Figure(
                "let go late, p50 / p99 s",
                "",
                f"{seconds[0]:.2f} / {seconds[1]:.2f}",
                f"≤ {LATE_SECONDS_MAX:.0f} s at p99",
                seconds[1] <= LATE_SECONDS_MAX,
            )
        )

    def add_others(self, queue_count: int, waits: others.Waits) -> None:
        """What sends on other lines took without the queue and beside it."""
        without, beside = waits.without, waits.beside
        name = f"others beside {queue_count:,} on one line, p50 / p99 ms"
        self._add(Figure("others: sends", _count(without), _count(beside)))
        self._add(Figure(name, _pair(without), _pair(beside)))
        name = "others: taken by programs outside, in the worst piece"
        shares = waits.outside_share("without"), waits.outside_share("beside")
        self._add(Figure(name, f"{shares[0]:.1%}", f"{shares[1]:.1%}"))
        name = "others: CPU of all processes, µs a send"
        micro = waits.cpu_micro("without"), waits.cpu_micro("beside")
        self._add(Figure(name, f"{micro[0]:,.0f}", f"{micro[1]:,.0f}"))
        name = "others: p99 of each piece, least … most ms"
        self._add(Figure(name, _spread(without), _spread(beside)))
        low, high = waits.interval
        self._add(
            Figure(
                "others: p99 beside by without (95 of 100); without by without",
                f"{waits.noise - 1:+.1%}",
                f"{waits.ratio - 1:+.1%} ({low - 1:+.0%} … {high - 1:+.0%})",
                f"≤ +{OTHERS_RATIO_MAX - 1:.0%}",
                waits.ratio <= OTHERS_RATIO_MAX,
            )
        )

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        self.say("  ".join(cell for cell in figure.cells if cell))

    def show(self) -> None:
        """Print the table."""
        table = rich.table.Table("", box=None, pad_edge=False)
        for heading in ("without", "with", "promised", ""):
            table.add_column(heading, justify="right")
        for figure in self.figures:
            table.add_row(*figure.cells)
        console.print()
        console.print(table)


def _count(pieces: others.Pieces) -> str:
    return f"{sum(map(len, pieces)):,}"


def _pair(pieces: others.Pieces) -> str:
    return f"{others.p50(pieces):,.1f} / {others.p99(pieces):,.1f}"


def _spread(pieces: others.Pieces) -> str:
    each = sorted(others.p99([piece]) for piece in pieces)
    return f"{each[0]:,.1f} … {each[-1]:,.1f}"
