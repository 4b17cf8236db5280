"""What the simulated carrier has seen and done, in numbers."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct):
    """Submits, receipts and parts of inbound messages since the start or the last reset.
    `unanswered` and `cut` submits are among the `accepted`; what was `sent` the other side took."""

    accepted: int = 0
    refused: int = 0
    throttled: int = 0
    unanswered: int = 0
    cut: int = 0
    receipts_sent: int = 0
    receipts_repeated: int = 0
    receipts_given_up: int = 0
    inbound_sent: int = 0
    inbound_repeated: int = 0
    inbound_given_up: int = 0


class Counters:
    """The counts of each system_id; the HTTP face's is `http`."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def of(self, system_id: str) -> Counts:
        """The counts of one system_id, to be added to; made when first asked for."""
        counts = self._counts.get(system_id)
        if counts is None:
            counts = self._counts[system_id] = Counts()
        return counts

    def by_system_id(self) -> dict[str, Counts]:
        """The counts of every system_id heard from."""
        return dict(self._counts)

    def total(self) -> Counts:
        """All counts added up."""
        each = self._counts.values()
        return Counts(*(sum(getattr(c, name) for c in each) for name in Counts.__struct_fields__))

    def reset(self) -> None:
        """Start again at zero."""
        self._counts.clear()
