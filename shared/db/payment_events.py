"""What the provider of card payments has told, each once; and disputes, which move no money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.db.connection import Connection


@dataclass(frozen=True, slots=True)
class NewPaymentEvent:
    """An event that was signed by the provider. `sha256` is of its body, which is not kept: it may
    tell of a person."""

    provider: str
    event_id: str
    type: str
    deposit_id: UUID | None
    payment_id: str | None
    made_at: datetime
    sha256: bytes


_DEPOSIT_OF = """
SELECT deposit_id, account_id FROM deposits
WHERE provider = $1 AND (deposit_id = $2 OR ($2::uuid IS NULL AND payment_id = $3))"""
_INSERT = """
INSERT INTO payment_events (provider, event_id, type, deposit_id, payment_id, made_at, sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (provider, event_id) DO NOTHING"""
_WAKE = """
UPDATE deposits SET look_at = clock_timestamp()
WHERE deposit_id = $1 AND state <> 'credited'"""


async def keep(connection: Connection, event: NewPaymentEvent) -> UUID | None:
    """Keep it, and have its deposit looked at; the deposit's id. One that is about no deposit of
    ours is not kept, and one that came before changes nothing."""
    deposit_id: UUID | None = await connection.fetchval(
        _DEPOSIT_OF, event.provider, event.deposit_id, event.payment_id
    )
    if deposit_id is None:
        return None
    kept = await connection.execute(
        _INSERT,
        event.provider,
        event.event_id,
        event.type,
        deposit_id,
        event.payment_id,
        event.made_at,
        event.sha256,
    )
    if kept == "INSERT 0 1":
        await connection.execute(_WAKE, deposit_id)
    return deposit_id


@dataclass(frozen=True, slots=True)
class StoredDispute:
    """A payer's bank takes back what was credited, in micro-units of `currency`; the wallet is left
    alone (M27)."""

    dispute_id: str
    deposit_id: UUID
    amount_micro: int
    currency: str
    reason: str
    status: str
    is_over: bool
    made_at: datetime


# A dispute never comes back to life: what its newest event says stands, and its end.
_DISPUTE = """
INSERT INTO payment_disputes AS d
    (provider, dispute_id, deposit_id, amount_micro, disputed_currency, reason, status, is_over,
    made_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (provider, dispute_id) DO UPDATE
SET status = excluded.status, is_over = excluded.is_over, made_at = excluded.made_at
WHERE excluded.made_at >= d.made_at AND (excluded.is_over OR NOT d.is_over)
RETURNING xmax = 0"""
_DISTRUST = """
UPDATE cards SET validated_at = NULL
WHERE card_id = (SELECT card_id FROM deposits WHERE deposit_id = $1)"""


async def dispute(connection: Connection, provider: str, dispute: StoredDispute) -> bool:
    """Record what is said of a dispute; whether it is a new one. Its card must be validated anew.
    Events may come in any order."""
    is_new = await connection.fetchval(
        _DISPUTE,
        provider,
        dispute.dispute_id,
        dispute.deposit_id,
        dispute.amount_micro,
        dispute.currency,
        dispute.reason,
        dispute.status,
        dispute.is_over,
        dispute.made_at,
    )
    if is_new:
        await connection.execute(_DISTRUST, dispute.deposit_id)
    return bool(is_new)


_DISPUTES = """
SELECT d.dispute_id, d.deposit_id, d.amount_micro, d.disputed_currency, d.reason, d.status,
       d.is_over, d.made_at
FROM payment_disputes d ORDER BY d.is_over, d.opened_at DESC LIMIT $1"""


async def disputes(connection: Connection, limit: int) -> list[StoredDispute]:
    """Those that are not over first, the newest first."""
    return [StoredDispute(*row) for row in await connection.fetch(_DISPUTES, limit)]
