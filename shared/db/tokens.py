"""Bearer tokens as stored: keyed hashes, their scopes, how long they are good, when last used.

A token that has ended is moved to `ended_tokens`, without its hash. Its name may be used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from shared.access.rights import ALL_SCOPES, AccessScope, Caller, UserRole
from shared.db.connection import Connection

COUNT_MAX = 10
"""Good tokens of an account, so that each can be known by its name (M17)."""


class NewToken(NamedTuple):
    """A token to store. `good_for` None: until it is revoked."""

    name: str
    token_hash: bytes
    scopes: AbstractSet[AccessScope] = ALL_SCOPES
    good_for: timedelta | None = None


class TooManyTokens(Exception):
    """The account has COUNT_MAX good tokens."""


class NameTaken(Exception):
    """A good token of the account has this name (M14)."""


# The lock lets two who create tokens at once see each other's.
_LOCK = "SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM tokens WHERE account_id = $1"
_INSERT = """
INSERT INTO tokens (account_id, name, token_hash, scopes, expires_at)
VALUES ($1, $2, $3, $4::text[], now() + $5::interval)
ON CONFLICT (account_id, name) DO NOTHING
RETURNING token_id, name, scopes, created_at, expires_at, last_used_at"""


async def create(connection: Connection, account_id: int, new: NewToken) -> Token:
    """Store a token, within a transaction. Raises NameTaken or TooManyTokens."""
    await connection.execute(_LOCK, account_id)
    await connection.execute(_EXPIRE_OF_ACCOUNT, account_id)
    row = await connection.fetchrow(
        _INSERT, account_id, new.name, new.token_hash, sorted(new.scopes), new.good_for
    )
    if row is None:
        raise NameTaken
    if await connection.fetchval(_COUNT, account_id) > COUNT_MAX:
        raise TooManyTokens
    return _token(row)


class Found(NamedTuple):
    """Whose token it is and what it may do, under which hash it is stored, and for how long it is
    good, if not for ever. A session's has no id."""

    token_id: int | None
    caller: Caller
    token_hash: bytes
    seconds_left: float | None


_FIND = """
SELECT token_id, account_id, scopes, NULL AS role, NULL::uuid AS user_id, token_hash,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left
FROM tokens
WHERE token_hash = ANY ($1::bytea[]) AND (expires_at IS NULL OR expires_at > clock_timestamp())
UNION ALL
SELECT NULL, u.account_id, '{}', u.role, u.user_id, s.token_hash,
       extract(epoch FROM s.expires_at - clock_timestamp())::float8
FROM sessions s JOIN users u USING (user_id)
WHERE s.token_hash = ANY ($1::bytea[]) AND s.expires_at > clock_timestamp()"""


async def find(connection: Connection, token_hashes: Sequence[bytes]) -> dict[bytes, Found]:
    """The good tokens among these, of sessions too, by their hashes."""
    found = [*map(_found, await connection.fetch(_FIND, token_hashes))]
    return {each.token_hash: each for each in found}


def _found(row: asyncpg.Record) -> Found:
    token_id, account_id, scopes, role, user_id, token_hash, seconds_left = row
    role = None if role is None else UserRole(role)
    caller = Caller(account_id, _scopes(scopes), role, user_id)
    return Found(token_id, caller, token_hash, seconds_left)


def _scopes(words: Sequence[str]) -> frozenset[AccessScope]:
    return frozenset(map(AccessScope, words))


_CHANGE = "SELECT number FROM token_changes"


async def change(connection: Connection) -> int:
    """The number of the last change by which a token may be good no more, or another account's:
    what `find` has told after a number was read holds as long as that is the last one. The database
    counts, whoever ends a token and however."""
    return int(await connection.fetchval(_CHANGE))


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
    """A token as its owner and operators know it."""

    token_id: int
    name: str
    scopes: tuple[AccessScope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    ended_at: datetime | None = None
    reason: str | None = None


_OF_ACCOUNT = """
SELECT token_id, name, scopes, created_at, expires_at, last_used_at FROM tokens
WHERE account_id = $1 AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at"""
_ENDED_OF_ACCOUNT = """
SELECT token_id, name, scopes, created_at, expires_at, last_used_at, ended_at, reason
FROM ended_tokens
WHERE account_id = $1 ORDER BY ended_at"""


async def of_account(connection: Connection, account_id: int) -> list[Token]:
    """The tokens that are good now, oldest first."""
    return [*map(_token, await connection.fetch(_OF_ACCOUNT, account_id))]


async def ended_of_account(connection: Connection, account_id: int) -> list[Token]:
    """The tokens that were good once, in the order in which they ended."""
    return [*map(_token, await connection.fetch(_ENDED_OF_ACCOUNT, account_id))]


def _token(row: asyncpg.Record) -> Token:
    """A row in the order of Token's members; the scopes from the least to the most."""
    token_id, name, scopes, *rest = row
    return Token(token_id, name, tuple(each for each in AccessScope if each in scopes), *rest)


_END = """
WITH gone AS (DELETE FROM tokens WHERE {which} RETURNING *)
INSERT INTO ended_tokens
    (token_id, account_id, name, scopes, created_at, expires_at, last_used_at, reason)
SELECT token_id, account_id, name, scopes, created_at, expires_at, last_used_at, '{reason}'
FROM gone
RETURNING token_id"""
_REVOKE = _END.format(which="account_id = $1 AND (name = $2 OR token_id = $3)", reason="revoked")
_EXPIRE = _END.format(which="expires_at <= now()", reason="expired")
_EXPIRE_OF_ACCOUNT = _END.format(which="account_id = $1 AND expires_at <= now()", reason="expired")


async def revoke(
    connection: Connection, account_id: int, name: str | None = None, *, token_id: int | None = None
) -> bool:
    """End the token of this name or id; False if the account has none."""
    return await connection.fetchval(_REVOKE, account_id, name, token_id) is not None


async def end_expired(connection: Connection) -> None:
    """End every token whose time is over: its name is free, and it counts no more."""
    await connection.execute(_EXPIRE)
