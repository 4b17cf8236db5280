"""When a segment's debit is given back (law 5): exactly when no carrier ever took it."""

from __future__ import annotations

_ENDED_UNSENT = frozenset({"rejected", "failed", "expired", "canceled", "unknown"})


def is_due(state: str, accepted: bool) -> bool:
    """Whether a segment that has come to `state` is refunded. `accepted`: a carrier has proved, by
    an answer or a receipt, that it took the segment. A later proof changes the status, never the
    money."""
    return not accepted and state in _ENDED_UNSENT
