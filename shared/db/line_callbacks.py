"""Lines in API mode: who is called back about what happens on them, and how far that has come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import configuration, events
from shared.db.connection import Connection
from shared.rules.line_kinds import LineMode

LEASE_SECONDS = 20
"""After so long without a word of its process an account's callbacks are another's."""


class LineCallback(NamedTuple):
    """Where a line's owner is called back, None: nowhere; and the sealed token that such a call
    shows."""

    line_id: int
    url: str | None
    sealed_token: bytes

    def __repr__(self) -> str:
        return f"LineCallback({self.line_id})"


_SET_MODE = "UPDATE lines SET mode = $3 WHERE account_id = $1 AND line_id = $2"
_PUT = """
INSERT INTO line_callbacks (account_id, line_id, url, sealed_token) VALUES ($1, $2, $3, $4)
ON CONFLICT (line_id) DO UPDATE SET url = excluded.url
RETURNING line_id, url, sealed_token"""
_KEEP = """
INSERT INTO line_callbacks (account_id, line_id, sealed_token) VALUES ($1, $2, $3)
ON CONFLICT (line_id) DO UPDATE SET url = line_callbacks.url
RETURNING line_id, url, sealed_token"""
_BEGIN = """
INSERT INTO callback_cursors (account_id, read_until)
SELECT account_id, last_sequence FROM event_heads WHERE account_id = $1
ON CONFLICT (account_id) DO NOTHING"""


async def configure(
    connection: Connection, account_id: int, line_id: int, url: str | None, sealed_token: bytes
) -> LineCallback:
    """Put the account's line into API mode, and call back there about what is not numbered yet
    (`events.number`). The token is for a line that has none. In a transaction."""
    await connection.execute(_SET_MODE, account_id, line_id, LineMode.API.value)
    row = await connection.fetchrow(_PUT, account_id, line_id, url, sealed_token)
    await connection.execute(_BEGIN, account_id)
    await configuration.bump(connection)
    return _read(row)


async def of_line(
    connection: Connection, account_id: int, line_id: int, sealed_token: bytes
) -> LineCallback:
    """That of a line in API mode. The token is for a line that an operator has put there."""
    return _read(await connection.fetchrow(_KEEP, account_id, line_id, sealed_token))


def _read(row: asyncpg.Record | None) -> LineCallback:
    if row is None:
        raise AssertionError("a statement that inserts or updates returns its row")
    return LineCallback(*row)


_TAKE = "DELETE FROM line_callbacks WHERE account_id = $1 AND line_id = $2"
_END = """
DELETE FROM callback_cursors c WHERE c.account_id = $1
  AND NOT EXISTS (SELECT FROM line_callbacks l WHERE l.account_id = c.account_id)"""


async def release(connection: Connection, account_id: int, line_id: int) -> None:
    """Give the line back to the application; its token is gone. In a transaction."""
    await connection.execute(_SET_MODE, account_id, line_id, LineMode.APPLICATION.value)
    await connection.execute(_TAKE, account_id, line_id)
    await connection.execute(_END, account_id)
    await configuration.bump(connection)


_OF_ACCOUNT = """
SELECT line_id, url, sealed_token FROM line_callbacks WHERE account_id = $1 AND url IS NOT NULL"""


async def of_account(connection: Connection, account_id: int) -> dict[int, LineCallback]:
    """By line, where the account is called back."""
    rows = await connection.fetch(_OF_ACCOUNT, account_id)
    return {row["line_id"]: LineCallback(*row) for row in rows}


class LeasedLog(NamedTuple):
    """An account's log, that this process alone tells its lines' URLs of, as long as the lease is
    the one in its row."""

    lease_id: UUID
    account_id: int
    read_until: int


_LEASE = f"""
WITH due AS MATERIALIZED (
    SELECT c.account_id FROM callback_cursors c
    WHERE c.leased_until < now() AND c.read_until < (
        SELECT h.last_sequence FROM event_heads h WHERE h.account_id = c.account_id)
    ORDER BY c.leased_until LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE callback_cursors c
SET lease_id = $1, leased_until = now() + interval '{LEASE_SECONDS} seconds'
FROM due WHERE c.account_id = due.account_id
RETURNING c.lease_id, c.account_id, c.read_until"""  # noqa: S608 - a number of our own


# For nobody's sake nothing is numbered.
_NUMBER = f"""
SELECT number_events({events.NUMBER_COUNT}) WHERE EXISTS (
    SELECT FROM callback_cursors WHERE leased_until < now())"""  # noqa: S608 - a number of our own


async def lease(connection: Connection, lease_id: UUID, count: int) -> Sequence[LeasedLog]:
    """Under a new lease take at most `count` logs that go on and have nobody at them."""
    await connection.execute(_NUMBER)
    return [LeasedLog(*row) for row in await connection.fetch(_LEASE, lease_id, count)]


_RENEW = f"""
UPDATE callback_cursors c SET leased_until = now() + interval '{LEASE_SECONDS} seconds'
FROM unnest($1::uuid[], $2::integer[]) AS held (lease_id, account_id)
WHERE c.account_id = held.account_id AND c.lease_id = held.lease_id"""  # noqa: S608 - a number of our own


async def renew(connection: Connection, held: Collection[LeasedLog]) -> None:
    """Say of these that they are still ours, as far as they are."""
    lease_ids, account_ids = [each.lease_id for each in held], [each.account_id for each in held]
    await connection.execute(_RENEW, lease_ids, account_ids)


_RECORD = """
UPDATE callback_cursors SET read_until = $3,
    lease_id = CASE WHEN $4 THEN NULL ELSE lease_id END,
    leased_until = CASE WHEN $4 THEN 'epoch' ELSE leased_until END
WHERE account_id = $1 AND lease_id = $2"""


async def record(
    connection: Connection, leased: LeasedLog, read_until: int, *, is_over: bool
) -> bool:
    """Write down how far it has come, and give the lease back if it is over; whether the lease was
    still ours, else nothing is written."""
    done = await connection.execute(
        _RECORD, leased.account_id, leased.lease_id, read_until, is_over
    )
    return bool(done == "UPDATE 1")
