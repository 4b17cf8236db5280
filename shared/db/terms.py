"""The texts that payers agree to with an order (M38): a version is never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.db.connection import Connection


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """A version of the text, in English and German."""

    version: str
    text_en: str
    text_de: str
    published_at: datetime


_CURRENT = """
SELECT version, text_en, text_de, published_at FROM terms
ORDER BY published_at DESC, version DESC LIMIT 1"""


async def current(connection: Connection) -> OrderTerms:
    """The newest version: the only one that is accepted with an order."""
    row = await connection.fetchrow(_CURRENT)
    if row is None:
        raise LookupError("there are no terms")
    return OrderTerms(*row)


_PUBLISH = "INSERT INTO terms (version, text_en, text_de) VALUES ($1, $2, $3)"


async def publish(connection: Connection, version: str, text_en: str, text_de: str) -> None:
    """Put a new version in force. Raises UniqueViolationError, CheckViolationError."""
    await connection.execute(_PUBLISH, version, text_en, text_de)
