"""What was used of something in a rolling window, by quarters of an hour: each comes back a full
window after it has ended, so that no rolling window ever holds more than its limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

SLOT_SECONDS: Final = 900


class SlotUse(NamedTuple):
    """So much was used in this quarter of an hour since 1970, or before it and after the one that
    stands in front."""

    slot: int
    amount: int


def enough_returns_at(
    uses: Sequence[SlotUse], needed: int, window_slot_count: int
) -> datetime | None:
    """When so much of what was used counts no more; None: it never was as much."""
    for use in uses:
        needed -= use.amount
        if needed <= 0:
            end_slot = use.slot + window_slot_count + 1
            return datetime.fromtimestamp(end_slot * SLOT_SECONDS, UTC)
    return None
