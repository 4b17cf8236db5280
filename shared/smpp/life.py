"""How a session lives and ends: its timers, its states, and when a silent peer is dead."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

NONSENSE_COUNT_MAX = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Timers:
    """How long a session waits, in seconds."""

    connect_seconds: float = 10.0
    bind_seconds: float = 10.0
    response_seconds: float = 60.0
    enquire_seconds: float = 30.0  # Silence of the peer after which it is asked whether it lives.
    enquire_response_seconds: float = 10.0
    unbind_seconds: float = 2.0
    farewell_seconds: float = 5.0  # How long answers may follow the peer's unbind.
    nonsense_seconds: float = 60.0  # In which NONSENSE_COUNT_MAX oddities of the peer are borne.

    @property
    def tick_seconds(self) -> float:
        """One periodic look serves all timers, which therefore fire up to a tick late."""
        shortest = min(
            self.bind_seconds,
            self.response_seconds,
            self.enquire_seconds,
            self.enquire_response_seconds,
        )
        return min(1.0, shortest / 4)


class Loss(StrEnum):
    """Why a session ended."""

    UNBOUND = "unbound"
    PEER_UNBOUND = "peer_unbound"
    PEER_CLOSED = "peer_closed"
    REFUSED = "refused"
    NOT_BOUND = "not_bound"
    SILENT = "silent"
    STALLED = "stalled"
    BROKEN_FRAMING = "broken_framing"
    NONSENSE = "nonsense"
    ABORTED = "aborted"


class State(StrEnum):
    """OPEN until the bind is answered; UNBINDING, at whose wish ever, takes no new requests but
    awaits answers."""

    OPEN = "open"
    BOUND = "bound"
    UNBINDING = "unbinding"
    CLOSED = "closed"


@dataclasses.dataclass(slots=True)
class Counts:
    """Oddities of the peer, for metrics."""

    strangers: int = 0  # Answers to nothing that was asked, or answered already.
    garbage: int = 0
    expired: int = 0
    late: int = 0  # Answers to what had expired.
    handler_failures: int = 0


class Verdict(StrEnum):
    ALIVE = "alive"
    ASK = "ask"
    DEAD = "dead"


class Pulse:
    """The peer's silence judged: any PDU of it is life, an enquire_link without one is death."""

    __slots__ = ("_asked_at", "_heard_at", "_timers")

    def __init__(self, timers: Timers, now: float) -> None:
        self._timers = timers
        self._heard_at = now
        self._asked_at: float | None = None

    def hear(self, now: float) -> None:
        self._heard_at = now
        self._asked_at = None

    def judge(self, now: float, *, suspicious: bool) -> Verdict:
        """Look at the clock; after ASK the answer is being waited for.

        A suspicion, such as a request whose answer never came, asks without waiting for silence.
        """
        if self._asked_at is not None:
            waited = now - self._asked_at > self._timers.enquire_response_seconds
            return Verdict.DEAD if waited else Verdict.ALIVE
        if suspicious or now - self._heard_at > self._timers.enquire_seconds:
            self._asked_at = now
            return Verdict.ASK
        return Verdict.ALIVE


class Nonsense:
    """How much nonsense a peer talks within a while, which begins with the first of it; a session
    may live for months, and a little in each of them is no reason to end it."""

    __slots__ = ("_count", "_seconds", "_since")

    def __init__(self, timers: Timers) -> None:
        self._seconds = timers.nonsense_seconds
        self._count = 0
        self._since = 0.0

    def add(self, now: float) -> bool:
        """Count one more; whether it is one too many."""
        if self._count == 0 or now - self._since > self._seconds:
            self._count, self._since = 0, now
        self._count += 1
        return self._count > NONSENSE_COUNT_MAX
