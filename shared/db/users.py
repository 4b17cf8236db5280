"""Users of accounts: who signs in, in which role. Of a password there is a hash.

Whoever makes, changes or removes users of an account takes the account's lock first, so that two of
them see each other, and an account that has owners keeps one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.access.rights import UserRole
from shared.db.connection import Connection

COUNT_MAX = 100
"""Users of an account."""


class NewUser(NamedTuple):
    """A user to store; the address in small letters."""

    user_id: UUID
    email: str
    role: UserRole
    password_hash: str


class StoredUser(NamedTuple):
    """A user as the others of the account know them."""

    user_id: UUID
    email: str
    role: UserRole
    created_at: datetime
    last_signed_in_at: datetime | None


class Credentials(NamedTuple):
    """What a sign-in is held against."""

    user: StoredUser
    password_hash: str


class TooManyUsers(Exception):
    """The account has COUNT_MAX users."""


class EmailTaken(Exception):
    """A user of the account has this address."""


class LastOwner(Exception):
    """The account would have no owner any more."""


_COLUMNS = "u.user_id, u.email, u.role, u.created_at, u.last_signed_in_at"
_LOCK = "SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM users WHERE account_id = $1"
_INSERT = f"""
INSERT INTO users AS u (user_id, account_id, email, role, password_hash) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id, email) DO NOTHING RETURNING {_COLUMNS}"""  # noqa: S608 - the constant above


async def create(connection: Connection, account_id: int, new: NewUser) -> StoredUser:
    """Store a user, within a transaction. Raises EmailTaken or TooManyUsers."""
    await connection.execute(_LOCK, account_id)
    row = await connection.fetchrow(
        _INSERT, new.user_id, account_id, new.email, new.role, new.password_hash
    )
    if row is None:
        raise EmailTaken
    if await connection.fetchval(_COUNT, account_id) > COUNT_MAX:
        raise TooManyUsers
    return _user(row)


_LISTED = f"SELECT {_COLUMNS} FROM users u WHERE u.account_id = $1 ORDER BY u.user_id"  # noqa: S608 - the constant above
_GET = f"SELECT {_COLUMNS} FROM users u WHERE u.account_id = $1 AND u.user_id = $2"  # noqa: S608 - the constant above


async def listed(connection: Connection, account_id: int) -> list[StoredUser]:
    """All users of an account, the oldest first."""
    return [*map(_user, await connection.fetch(_LISTED, account_id))]


async def get(connection: Connection, account_id: int, user_id: UUID) -> StoredUser | None:
    """A user of this account; another's is None, like one that never was."""
    row = await connection.fetchrow(_GET, account_id, user_id)
    return None if row is None else _user(row)


_CREDENTIALS = f"""
SELECT {_COLUMNS}, u.password_hash FROM users u JOIN accounts a USING (account_id)
WHERE a.name = $1 AND u.email = $2"""  # noqa: S608 - the constant above
_PASSWORD_HASH = "SELECT password_hash FROM users WHERE user_id = $1"  # noqa: S105 - a statement


async def credentials(connection: Connection, account: str, email: str) -> Credentials | None:
    """Whom an account's name and an address mean."""
    row = await connection.fetchrow(_CREDENTIALS, account, email)
    return None if row is None else Credentials(_user(row), row["password_hash"])


async def password_hash(connection: Connection, user_id: UUID) -> str | None:
    """What is stored of a user's password."""
    found: str | None = await connection.fetchval(_PASSWORD_HASH, user_id)
    return found


_CHANGE = f"""
UPDATE users AS u SET role = coalesce($3, u.role), password_hash = coalesce($4, u.password_hash)
WHERE u.account_id = $1 AND u.user_id = $2 RETURNING {_COLUMNS}"""  # noqa: S608 - the constant above
_END_SESSIONS = "DELETE FROM sessions WHERE user_id = $1 AND token_hash <> ALL ($2::bytea[])"


async def change(
    connection: Connection,
    account_id: int,
    user_id: UUID,
    *,
    role: UserRole | None = None,
    password_hash: str | None = None,
    keep: Sequence[bytes] = (),
) -> StoredUser | None:
    """The user with another role or password, within a transaction; None: the account has no such
    user. A new password ends the user's sessions but those of the hashes `keep`. Raises LastOwner.
    """
    await connection.execute(_LOCK, account_id)
    row = await connection.fetchrow(_CHANGE, account_id, user_id, role, password_hash)
    if row is None:
        return None
    if role not in (None, UserRole.OWNER):
        await _keep_an_owner(connection, account_id)
    if password_hash is not None:
        await connection.execute(_END_SESSIONS, user_id, keep)
    return _user(row)


_REHASH = "UPDATE users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2"


async def rehash(connection: Connection, user_id: UUID, before: str, after: str) -> None:
    """Store the same password at another cost, unless it has been changed meanwhile."""
    await connection.execute(_REHASH, user_id, before, after)


_DELETE = "DELETE FROM users WHERE account_id = $1 AND user_id = $2 RETURNING true"


async def delete(connection: Connection, account_id: int, user_id: UUID) -> bool:
    """No user any more, and none of their sessions, within a transaction; False if the account has
    no such user. Raises LastOwner."""
    await connection.execute(_LOCK, account_id)
    if not await connection.fetchval(_DELETE, account_id, user_id):
        return False
    await _keep_an_owner(connection, account_id)
    return True


_HAS_OWNER = "SELECT EXISTS (SELECT FROM users WHERE account_id = $1 AND role = 'owner')"


async def _keep_an_owner(connection: Connection, account_id: int) -> None:
    if not await connection.fetchval(_HAS_OWNER, account_id):
        raise LastOwner


def _user(row: asyncpg.Record) -> StoredUser:
    """A row that begins with _COLUMNS."""
    user_id, email, role, created_at, last_signed_in_at, *_ = row
    return StoredUser(user_id, email, UserRole(role), created_at, last_signed_in_at)
