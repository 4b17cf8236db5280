"""The figures of one run of one load, and the median of several."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Rates run from the first request to the last event of their kind; CPU, from the first request
    to the last recorded receipt, of all processes of a part, is per message."""

    accepted_per_second: float
    submitted_per_second: float
    recorded_per_second: float
    request_p50_ms: float
    request_p99_ms: float
    accept_to_submit_p50_ms: float
    accept_to_submit_p99_ms: float
    wall_seconds: float
    wal_bytes: float
    """What PostgreSQL wrote ahead, per message; 0 where there is none."""
    cpu_micro: Mapping[str, float]
    memory_mb: Mapping[str, float]
    idle_percent: float
    others_percent: float
    """Of all cores, what programs outside the benchmark took."""

    @property
    def cpu_micro_sum(self) -> float:
        """Over all processes, the carrier's and the load generator's too."""
        return sum(self.cpu_micro.values())


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(runs: Sequence[Figures]) -> Figures:
    """Each figure's median over the runs."""
    values: dict[str, Any] = {
        field.name: _median([getattr(run, field.name) for run in runs]) for field in fields(Figures)
    }
    return Figures(**values)


def _median(values: Sequence[Any]) -> float | dict[str, float]:
    if not isinstance(values[0], Mapping):
        return float(statistics.median(values))
    return {name: statistics.median(each[name] for each in values) for name in values[0]}
