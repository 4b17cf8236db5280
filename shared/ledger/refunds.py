"""When a segment's debit is given back (law 5): exactly when no carrier ever took it."""

from __future__ import annotations

_ENDED_UNSENT = frozenset({"rejected", "failed", "expired", "canceled", "unknown"})


def is_due(state: str, accepted: bool) -> bool:
    """Whether a segment that has come to `state` is refunded. `accepted`: a carrier has proved, by
    an answer or a receipt, that it took the segment. So what no carrier ever answered for is given
    back when it becomes `unknown` at its deadline, although a carrier may have delivered and billed
    it: who cannot prove the service does not keep the money. A later proof changes the status,
    never the money."""
    return not accepted and state in _ENDED_UNSENT
