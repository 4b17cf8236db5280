"""What carriers say over SMPP that makes no sense: counted a carrier, over all its sessions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import prometheus_client
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.smpp import life

_COUNTS: dict[str, life.Counts] = {}


def of(carrier: str) -> life.Counts:
    """What its sessions count into, for as long as the process lives."""
    return _COUNTS.setdefault(carrier, life.Counts())


class _Oddities(Collector):
    def collect(self) -> Iterable[Metric]:
        told = CounterMetricFamily(
            "sluice_smpp_oddities",
            "Oddities of a carrier over SMPP: answers to nothing (strangers), PDUs that cannot be"
            " read (garbage), answers that did not come in time (expired) or came after it (late).",
            labels=("carrier", "kind"),
        )
        for carrier, counts in _COUNTS.items():
            for kind, count in dataclasses.asdict(counts).items():
                told.add_metric((carrier, kind), count)
        yield told


prometheus_client.REGISTRY.register(_Oddities())
