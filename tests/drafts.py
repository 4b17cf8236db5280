"""Messages as ingest stores them, for tests that begin where accepting has ended."""

from __future__ import annotations

from typing import Any

from shared.rules.compose import Draft
from shared.runtime import ids

_PLAIN = Draft(
    message_id=ids.uuid7(),
    account_id=1,
    line_id=1,
    carrier_id=1,
    wallet_id=0,
    revenue_wallet_id=0,
    sender="Sluice",
    recipient="+33612345678",
    country="FR",
    body="x",
    encoding="gsm7",
    segment_count=1,
    message_class=1,
    at_least_once=False,
    segment_price_micro=1,
    currency="EUR",
    reference=None,
    send_at=None,
    valid_seconds=3600,
    verdict=0,
)


def draft(
    wallet_id: int, revenue_wallet_id: int, segment_price_micro: int, **members: Any
) -> Draft:
    """A plain message of an id of its own, but for these members."""
    return _PLAIN._replace(
        message_id=ids.uuid7(),
        wallet_id=wallet_id,
        revenue_wallet_id=revenue_wallet_id,
        segment_price_micro=segment_price_micro,
    )._replace(**members)
