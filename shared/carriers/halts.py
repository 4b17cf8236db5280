"""When a carrier does not let us send at all: its links wait, and its operator is told."""

from __future__ import annotations

import random

import prometheus_client
import structlog

from shared.carriers import outcomes

_log = structlog.get_logger()

HALT_SECONDS_MIN = 5.0
HALT_SECONDS_MAX = 300.0
"""How long a link waits before it tries with one message again: doubled from the first to the
second."""

_HALTED = prometheus_client.Gauge(
    "sluice_carrier_halted", "1 for a carrier that does not let us send.", ["carrier"]
)
_Kind = outcomes.OutcomeKind


class Halts:
    """Whether one carrier lets us send, by its answers.

    It does not when it says so (HALTED), and when `refusals_max` refusals that nobody understands
    came with nothing taken in between: rather than that all that waits is refused, somebody is to
    look. With 0 that is not asked.
    """

    def __init__(self, carrier: str, refusals_max: int) -> None:
        self._carrier = carrier
        self._refusals_max = refusals_max
        self._refusals = 0
        self._halts = 0
        self._until = 0.0
        _HALTED.labels(carrier).set(0)

    def on(self, now: float) -> bool:
        """Whether nothing may be sent now."""
        return now < self._until

    @property
    def halted(self) -> bool:
        """Whether the last that is known is that it does not."""
        return self._halts > 0

    @property
    def watching(self) -> bool:
        """Whether it matters that something is taken."""
        return self._halts > 0 or self._refusals > 0

    def heed(self, outcome: outcomes.Outcome, now: float) -> float:
        """For how many seconds the link is to wait because of an answer; 0: not because of it."""
        if outcome.kind is _Kind.ACCEPTED:
            self._refusals = 0
            self._end()
            return 0.0
        if not self._is_halt(outcome) or self.on(now):
            return 0.0
        full = min(HALT_SECONDS_MAX, HALT_SECONDS_MIN * (1 << min(self._halts, 16)))
        seconds = full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        if not self._halts:
            _log.error(
                "carrier_halted",
                carrier=self._carrier,
                code=outcome.code,
                reason=outcome.reason,
                refusals=self._refusals,
            )
            _HALTED.labels(self._carrier).set(1)
        self._halts += 1
        self._until = now + seconds
        return seconds

    def _is_halt(self, outcome: outcomes.Outcome) -> bool:
        if outcome.kind is not _Kind.REJECTED or outcome.understood:
            return outcome.kind is _Kind.HALTED
        self._refusals += 1
        return 0 < self._refusals_max <= self._refusals

    def _end(self) -> None:
        if self._halts:
            self._halts, self._until = 0, 0.0
            _log.warning("carrier_lets_us_send", carrier=self._carrier)
            _HALTED.labels(self._carrier).set(0)
