"""Bearer tokens as stored: keyed hashes, until when they are good, when they were last used.

A token that has ended is moved to `ended_tokens`, without its hash. Its name may be used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.db.connection import Connection

_INSERT = """
INSERT INTO tokens (account_id, name, token_hash, expires_at)
SELECT account_id, $2, $3, now() + $4::interval FROM accounts WHERE name = $1
RETURNING token_id"""


async def insert(
    connection: Connection,
    account_name: str,
    name: str,
    token_hash: bytes,
    good_for: timedelta | None = None,
) -> int | None:
    """Store a token's hash; its id, or None if there is no such account. Raises
    UniqueViolationError if the account already has a token of that name."""
    token_id: int | None = await connection.fetchval(
        _INSERT, account_name, name, token_hash, good_for
    )
    return token_id


class Found(NamedTuple):
    """Whose token it is, under which hash it is stored, and for how long it is good, if not for
    ever."""

    token_id: int
    account_id: int
    token_hash: bytes
    seconds_left: float | None


_FIND = """
SELECT token_id, account_id, token_hash,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left
FROM tokens
WHERE token_hash = ANY ($1::bytea[]) AND (expires_at IS NULL OR expires_at > clock_timestamp())"""


async def find(connection: Connection, token_hashes: Sequence[bytes]) -> dict[bytes, Found]:
    """The good tokens among these, by their hashes."""
    rows = await connection.fetch(_FIND, token_hashes)
    return {row["token_hash"]: Found(*row) for row in rows}


class Use(NamedTuple):
    """A token was used `seconds_ago`; `new_hash` is the one to store from now on, if another."""

    token_id: int
    seconds_ago: float
    new_hash: bytes | None


# Rows that another process is at are skipped: it notes much the same, and the next minute comes.
_NOTE = """
WITH used AS (
    SELECT t.token_id, u.seconds_ago, u.new_hash
    FROM unnest($1::int[], $2::float8[], $3::bytea[]) AS u (token_id, seconds_ago, new_hash)
    JOIN tokens t USING (token_id)
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE tokens t
SET last_used_at = greatest(t.last_used_at, now() - make_interval(secs => used.seconds_ago)),
    token_hash = coalesce(used.new_hash, t.token_hash)
FROM used WHERE t.token_id = used.token_id"""


async def note(connection: Connection, uses: Sequence[Use]) -> None:
    """Write down when tokens were last used, and the hashes they go over to."""
    await connection.execute(
        _NOTE,
        [use.token_id for use in uses],
        [use.seconds_ago for use in uses],
        [use.new_hash for use in uses],
    )


@dataclass(frozen=True, slots=True)
class Token:
    """A token as an operator knows it."""

    token_id: int
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    ended_at: datetime | None = None
    reason: str | None = None


_OF_ACCOUNT = """
SELECT token_id, name, created_at, expires_at, last_used_at FROM tokens
WHERE account_id = $1 AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at"""
_ENDED_OF_ACCOUNT = """
SELECT token_id, name, created_at, expires_at, last_used_at, ended_at, reason FROM ended_tokens
WHERE account_id = $1 ORDER BY ended_at"""


async def of_account(connection: Connection, account_id: int) -> list[Token]:
    """The tokens that are good now, oldest first."""
    return [Token(*row) for row in await connection.fetch(_OF_ACCOUNT, account_id)]


async def ended_of_account(connection: Connection, account_id: int) -> list[Token]:
    """The tokens that were good once, in the order in which they ended."""
    return [Token(*row) for row in await connection.fetch(_ENDED_OF_ACCOUNT, account_id)]


_END = """
WITH gone AS (DELETE FROM tokens WHERE {which} RETURNING *)
INSERT INTO ended_tokens
    (token_id, account_id, name, created_at, expires_at, last_used_at, reason)
SELECT token_id, account_id, name, created_at, expires_at, last_used_at, '{reason}' FROM gone
RETURNING token_id"""
_REVOKE = _END.format(which="account_id = $1 AND name = $2", reason="revoked")
_EXPIRE = _END.format(which="expires_at <= now()", reason="expired")


async def revoke(connection: Connection, account_id: int, name: str) -> bool:
    """End a token; False if the account has none of that name."""
    return await connection.fetchval(_REVOKE, account_id, name) is not None


async def end_expired(connection: Connection) -> None:
    """End every token whose time is over: its name is free, and it counts no more."""
    await connection.execute(_EXPIRE)
