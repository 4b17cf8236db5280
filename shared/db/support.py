"""What accounts ask the operator for, such as a country that is not offered (M3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection

OPEN_COUNT_MAX = 20
"""Of an account, at any time."""
KEPT_DAYS = 365
"""After its end."""


class Topic(StrEnum):
    """What a request is about."""

    COUNTRY = "country"
    OTHER = "other"


class TooManyOpen(Exception):
    """The account has as many open requests as it may have."""


@dataclass(frozen=True, slots=True)
class SupportRequest:
    """`words` are the producer's, `answer` the operator's, which ends it."""

    support_request_id: UUID
    account: str
    topic: str
    country: str | None
    words: str
    created_at: datetime
    closed_at: datetime | None
    answer: str | None


_COLUMNS = """
SELECT s.support_request_id, a.name, s.topic, s.country, s.words, s.created_at, s.closed_at,
       s.answer
FROM support_requests s JOIN accounts a USING (account_id)"""

# One at a time of an account, so that their number is bounded.
_TURN = "SELECT pg_advisory_xact_lock(hashtext('support_requests'), $1)"
_SAME = f"""{_COLUMNS}
WHERE s.account_id = $1 AND s.closed_at IS NULL AND s.topic = $2
  AND s.country IS NOT DISTINCT FROM $3 AND (s.country IS NOT NULL OR s.words = $4)"""
_OPEN_OF = "SELECT count(*) FROM support_requests WHERE account_id = $1 AND closed_at IS NULL"
_INSERT = """
INSERT INTO support_requests (support_request_id, account_id, topic, country, words)
VALUES ($1, $2, $3, $4, $5)"""
_FIND = f"{_COLUMNS} WHERE s.support_request_id = $1"


async def ask(
    connection: Connection,
    new_id: UUID,
    account_id: int,
    topic: Topic,
    country: str | None,
    words: str,
) -> tuple[SupportRequest, bool]:
    """Within a transaction of the caller: the request, and whether it is new. Who asks again for
    what is open is given that. Raises TooManyOpen."""
    await connection.execute(_TURN, account_id)
    row = await connection.fetchrow(_SAME, account_id, topic.value, country, words)
    if row is not None:
        return SupportRequest(*row), False
    if await connection.fetchval(_OPEN_OF, account_id) >= OPEN_COUNT_MAX:
        raise TooManyOpen
    await connection.execute(_INSERT, new_id, account_id, topic.value, country, words)
    row = await connection.fetchrow(_FIND, new_id)
    if row is None:
        raise AssertionError("it was inserted just now")
    return SupportRequest(*row), True


_OF_ACCOUNT = f"""{_COLUMNS}
WHERE s.account_id = $1 ORDER BY s.support_request_id DESC LIMIT $2"""
_EVERY = f"""{_COLUMNS}
WHERE s.closed_at IS NULL OR $1 ORDER BY s.support_request_id DESC LIMIT $2"""


async def of_account(
    connection: Connection, account_id: int, count_max: int
) -> Sequence[SupportRequest]:
    """An account's requests, the newest first."""
    rows = await connection.fetch(_OF_ACCOUNT, account_id, count_max)
    return [SupportRequest(*row) for row in rows]


async def every(
    connection: Connection, count_max: int, *, closed: bool = False
) -> Sequence[SupportRequest]:
    """All accounts' open requests, the newest first; `closed`: those that have ended as well."""
    rows = await connection.fetch(_EVERY, closed, count_max)
    return [SupportRequest(*row) for row in rows]


async def find(connection: Connection, support_request_id: UUID) -> SupportRequest | None:
    """The request, or None."""
    row = await connection.fetchrow(_FIND, support_request_id)
    return None if row is None else SupportRequest(*row)


_CLOSE = """
UPDATE support_requests SET closed_at = clock_timestamp(), answer = $2
WHERE support_request_id = $1 AND closed_at IS NULL"""


async def close(connection: Connection, support_request_id: UUID, answer: str) -> bool:
    """End a request with the operator's words; False for one that has ended, or was never made."""
    done = await connection.execute(_CLOSE, support_request_id, answer)
    return done.endswith(" 1")


_OPEN = "SELECT count(*) FROM support_requests WHERE closed_at IS NULL"


async def open_count(connection: Connection) -> int:
    """How many wait for an answer."""
    return int(await connection.fetchval(_OPEN))


_FORGET = f"""
DELETE FROM support_requests WHERE support_request_id IN (
    SELECT support_request_id FROM support_requests
    WHERE closed_at < now() - interval '{KEPT_DAYS} days' LIMIT $1 FOR UPDATE SKIP LOCKED)"""  # noqa: S608 - a number of our own


async def sweep(database: asyncpg.Pool) -> None:
    """Forget what ended long ago."""
    await cleaning.by_pages(database, _FORGET)
