"""Cards that accounts have paid with, as their provider tells them apart: no number is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.db.connection import Connection
from shared.ledger.deposits import PaymentCard


@dataclass(frozen=True, slots=True)
class StoredCard:
    """A card as its account reads it. `validated_at`: from when on payments with it are credited
    without delay (M33)."""

    card_id: int
    brand: str
    last_digits: str
    created_at: datetime
    validated_at: datetime | None


_KEEP = """
WITH there AS (
    SELECT card_id FROM cards WHERE account_id = $1 AND provider = $2 AND fingerprint = $3
), made AS (
    INSERT INTO cards (account_id, provider, fingerprint, brand, last_digits)
    SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM there)
    ON CONFLICT (account_id, provider, fingerprint) DO NOTHING RETURNING card_id
)
SELECT card_id FROM there UNION ALL SELECT card_id FROM made"""


async def keep(
    connection: Connection, account_id: int, provider: str, card: PaymentCard
) -> int | None:
    """The card's id, whether or not it was known before; None in the moment in which another
    transaction makes it."""
    card_id: int | None = await connection.fetchval(
        _KEEP, account_id, provider, card.fingerprint, card.brand, card.last_digits
    )
    return card_id


_IS_VALIDATED = """
SELECT EXISTS (SELECT FROM cards WHERE account_id = $1 AND provider = $2 AND fingerprint = $3
               AND validated_at IS NOT NULL)"""


async def is_validated(
    connection: Connection, account_id: int, provider: str, card: PaymentCard | None
) -> bool:
    """Whether the account has paid with this card before, and that was validated."""
    if card is None:
        return False
    return bool(await connection.fetchval(_IS_VALIDATED, account_id, provider, card.fingerprint))


_VALIDATE = "UPDATE cards SET validated_at = clock_timestamp() WHERE card_id = $1"


async def validate(connection: Connection, card_id: int) -> None:
    """Its payment was charged and credited."""
    await connection.execute(_VALIDATE, card_id)


_OF_ACCOUNT = """
SELECT card_id, brand, last_digits, created_at, validated_at FROM cards
WHERE account_id = $1 ORDER BY card_id DESC LIMIT $2"""


async def of_account(connection: Connection, account_id: int, limit: int) -> list[StoredCard]:
    """The account's cards, the newest first."""
    return [StoredCard(*row) for row in await connection.fetch(_OF_ACCOUNT, account_id, limit)]
