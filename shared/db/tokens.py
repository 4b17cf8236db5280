"""Bearer tokens: only a keyed hash is stored, and only the hash is looked up."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from shared.db.connection import Connection

PREFIX = "slu_"


def make() -> str:
    """A new token of 256 random bits, to be shown once."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str, secret_key: str) -> bytes:
    """What is stored of a token: HMAC-SHA256 under the platform's key, useless without it."""
    return hmac.digest(secret_key.encode(), token.encode(), hashlib.sha256)


_INSERT = """
INSERT INTO tokens (account_id, name, token_hash)
SELECT account_id, $2, $3 FROM accounts WHERE name = $1
RETURNING token_id"""


async def insert(connection: Connection, account_name: str, name: str, token_hash: bytes) -> bool:
    """Store a token's hash; False if there is no such account. Raises UniqueViolationError if the
    account already has a token of that name."""
    return await connection.fetchval(_INSERT, account_name, name, token_hash) is not None


_ACCOUNT_OF = "SELECT account_id FROM tokens WHERE token_hash = $1"


async def account_of(connection: Connection, token_hash: bytes) -> int | None:
    """The account a token belongs to, or None."""
    found = await connection.fetchval(_ACCOUNT_OF, token_hash)
    return None if found is None else int(found)
