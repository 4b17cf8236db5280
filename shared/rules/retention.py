"""How long what names a phone is kept: not for ever, and longer than anything may still happen to
it."""

from __future__ import annotations

from shared.rules.compose import SEND_AHEAD_DAYS_MAX, VALID_SECONDS_MAX

DAYS = 90
"""Unless an operator sets another."""
_DAY_SECONDS = 24 * 3600


def days_at_least(receipt_deadline_hours: int) -> int:
    """The fewest days to keep a message: it may be sent so far ahead, then be valid for so long,
    and a receipt is believed until twice the deadline after its submit; a day is for sweeps."""
    moving_seconds = VALID_SECONDS_MAX + 2 * receipt_deadline_hours * 3600
    return SEND_AHEAD_DAYS_MAX + -(-moving_seconds // _DAY_SECONDS) + 1
