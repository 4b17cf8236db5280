"""Sessions of users, and how often somebody has tried to begin one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection

COUNT_MAX = 10
"""Sessions of a user: one more ends the oldest."""

# The user's row is locked against a change of password, which ends all sessions: what was begun
# with the one before must not come to be after that.
_BEGIN = """
WITH signed_in AS (
    UPDATE users SET last_signed_in_at = now() WHERE user_id = $1 AND password_hash = $2
    RETURNING user_id
), oldest AS (
    DELETE FROM sessions WHERE token_hash IN (
        SELECT s.token_hash FROM sessions s JOIN signed_in USING (user_id)
        ORDER BY s.created_at DESC OFFSET $5)
)
INSERT INTO sessions (token_hash, user_id, expires_at)
SELECT $3, user_id, now() + $4::interval FROM signed_in
RETURNING expires_at"""


async def begin(
    connection: Connection, user_id: UUID, password_hash: str, token_hash: bytes, lasts: timedelta
) -> datetime | None:
    """Begin a session of a user who has shown the password of this hash; when it ends, or None if
    the password has been changed meanwhile, or the user is gone."""
    expires_at: datetime | None = await connection.fetchval(
        _BEGIN, user_id, password_hash, token_hash, lasts, COUNT_MAX - 1
    )
    return expires_at


async def end(connection: Connection, token_hashes: Sequence[bytes]) -> None:
    """End these sessions."""
    await connection.execute(
        "DELETE FROM sessions WHERE token_hash = ANY ($1::bytea[])", token_hashes
    )


class Attempts(NamedTuple):
    """How often a subject has tried within its window, and how long that still is."""

    attempt_count: int
    seconds_left: float


_COUNT = """
INSERT INTO sign_in_attempts AS a (subject, attempt_count, ends_at)
VALUES ($1, 1, now() + $2::interval)
ON CONFLICT (subject) DO UPDATE SET
    attempt_count = CASE WHEN a.ends_at > now() THEN least(a.attempt_count, 1000000) + 1 ELSE 1 END,
    ends_at = CASE WHEN a.ends_at > now() THEN a.ends_at ELSE excluded.ends_at END
RETURNING attempt_count, extract(epoch FROM ends_at - now())::float8"""


async def count_attempt(connection: Connection, subject: bytes, window: timedelta) -> Attempts:
    """Count one more attempt, before it is known what becomes of it."""
    (row,) = await connection.fetch(_COUNT, subject, window)
    return Attempts(*row)


_FORGIVE = """
UPDATE sign_in_attempts SET attempt_count = greatest(0, attempt_count - $2) WHERE subject = $1"""


async def forgive(connection: Connection, subject: bytes, attempt_count: int) -> None:
    """Take so many attempts back: they were no guesses."""
    await connection.execute(_FORGIVE, subject, attempt_count)


async def forget_old(connection: Connection) -> None:
    """Delete what is over, a little at a time."""
    for table, key, moment in (
        ("sessions", "token_hash", "expires_at"),
        ("sign_in_attempts", "subject", "ends_at"),
    ):
        await connection.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} "  # noqa: S608 - words of our own
            f"WHERE {moment} <= now() LIMIT 1000 FOR UPDATE SKIP LOCKED)"
        )
