"""Messages as producers asked for them: stored with their segments, debits and work in one
statement; read back for producers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import ledger, opt_outs, spending
from shared.db.connection import Connection
from shared.ledger.transfers import Kind
from shared.rules.compose import Draft

SQL_NAMES = {"message_class": "class", "body_stored": "body <> '' AS body_stored"}
"""Columns and attributes that are not called as in Python."""


def _columns(names: Iterable[str]) -> str:
    return ", ".join(SQL_NAMES.get(name, name) for name in names)


RELAY_LEASE_SECONDS = 8
"""How long the accepting process keeps the right to publish what it stored."""

_OTHERWISE_STORED = ("body", "revenue_wallet_id", "valid_seconds", "store_body", "case")
_OF_DRAFT = _columns(name for name in Draft._fields if name not in _OTHERWISE_STORED)

# One statement, so that nothing of a message can exist without the rest: the row, its segments, the
# money for them, what was spent, the day's usage and the work. Wallets come last, for all that an
# account sends at the same time must wait for that lock: what they wait for is counted, and so must
# be done before.
_INSERT = f"""
WITH accepted AS MATERIALIZED (
    SELECT *, coalesce(send_at, now()) + valid_seconds * interval '1 second' AS expires_at,
           CASE WHEN send_at IS NULL THEN 'queued' ELSE 'scheduled' END AS state
    FROM unnest($1::judged_message[])
), message AS (
    INSERT INTO messages ({_OF_DRAFT}, body, status, expires_at, created_at, updated_at)
    SELECT {_OF_DRAFT}, CASE WHEN store_body THEN body ELSE '' END, state, expires_at, now(), now()
    FROM accepted RETURNING class
), segment AS (
    INSERT INTO segments (message_id, part, state, carrier_id)
    SELECT message_id, part, state, carrier_id
    FROM accepted, generate_series(1, segment_count) AS part
    WHERE (SELECT old_readers FROM platform) RETURNING part
), debit AS ({ledger.DEBIT}
), work AS (
    INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count,
        state, ready_at, expires_at)
    SELECT message_id, account_id, line_id, carrier_id, country, class, segment_count,
           CASE WHEN send_at IS NULL THEN 'ready' ELSE 'scheduled' END,
           coalesce(send_at, now() + interval '{RELAY_LEASE_SECONDS} seconds'), expires_at
    FROM accepted RETURNING class
), done AS MATERIALIZED (
    SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM segment)
         + (SELECT count(*) FROM debit) + (SELECT count(*) FROM work) AS row_count,
           EXISTS (SELECT FROM accepted m CROSS JOIN LATERAL ({opt_outs.IS_OPTED_OUT}) o)
               AS some_unwanted
), spent AS MATERIALIZED (
    SELECT spent.* FROM done, ({ledger.SPENT}
    ) spent WHERE done.row_count > 0
), {ledger.SPEND}, {spending.RECORD}
SELECT {ledger.LEFT}, (SELECT some_unwanted FROM done) FROM {ledger.LEFT_IN}"""  # noqa: S608 - the constants above


class StoredDrafts(NamedTuple):
    """What is left in each account's purse, locked, and whether some of what was stored is for
    phones that have opted out. An account whose currency has changed is missing."""

    purses: dict[int, ledger.Purse]
    some_unwanted: bool


async def insert(connection: Connection, accepted: Sequence[Draft]) -> StoredDrafts:
    """Store and debit what has its verdict; texts that are not to be kept are left to the caller
    (`sealed_texts`). Raises CheckViolationError for a purse that cannot pay."""
    if not accepted:
        return StoredDrafts({}, False)
    rows = await connection.fetch(_INSERT, [draft[:-1] for draft in accepted])
    return StoredDrafts(
        {account_id: ledger.Purse(account_id, *purse) for account_id, *purse, _ in rows},
        any(row["some_unwanted"] for row in rows),
    )


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as its producer may read it."""

    message_id: UUID
    line_id: int
    status: str
    reason: str
    sender: str
    recipient: str = field(repr=False)
    country: str
    encoding: str
    segment_count: int
    message_class: int
    at_least_once: bool
    segment_price_micro: int
    currency: str
    reference: str | None
    body_stored: bool
    created_at: datetime
    send_at: datetime | None
    expires_at: datetime
    updated_at: datetime
    verdict: int | None

    @property
    def price_micro(self) -> int:
        """What the whole message costs."""
        return self.segment_count * self.segment_price_micro


STORED_COLUMNS = _columns(column.name for column in fields(StoredMessage))
"""What a StoredMessage is made of, in its order."""

_GET = f"SELECT {STORED_COLUMNS} FROM messages WHERE account_id = $1 AND message_id = $2"  # noqa: S608 - the constant above


async def get(connection: Connection, account_id: int, message_id: UUID) -> StoredMessage | None:
    """One message of this account; another account's message is None, like one that never was."""
    row = await connection.fetchrow(_GET, account_id, message_id)
    return None if row is None else StoredMessage(*row)


_GET_MANY = f"""
SELECT {STORED_COLUMNS} FROM messages WHERE message_id = ANY ($2) AND account_id = $1"""  # noqa: S608 - the constant above


async def get_many(
    connection: Connection, account_id: int, message_ids: Sequence[UUID]
) -> dict[UUID, StoredMessage]:
    """Those of these messages that the account has."""
    rows = await connection.fetch(_GET_MANY, account_id, message_ids)
    return {row["message_id"]: StoredMessage(*row) for row in rows}


_TEXTS = """
SELECT message_id, body FROM messages
WHERE message_id = ANY ($2) AND account_id = $1 AND body <> ''"""


async def texts(
    connection: Connection, account_id: int, message_ids: Sequence[UUID]
) -> dict[UUID, str]:
    """The texts of those of these messages that the account has, and whose text is kept."""
    rows = await connection.fetch(_TEXTS, account_id, message_ids)
    return {row["message_id"]: row["body"] for row in rows}


@dataclass(frozen=True, slots=True)
class Part:
    """One segment as its message's producer may read it."""

    part: int
    state: str
    code: str
    submitted_at: datetime | None
    accepted_at: datetime | None
    finished_at: datetime | None
    refunded: bool


# No EXISTS: it may as well be answered by going through all transfers once for a thousand parts,
# and so many are expected whenever there are few refunds.
_PARTS = f"""
SELECT part, state, code, submitted_at, accepted_at, finished_at,
       (SELECT true FROM transfers t WHERE t.message_id = p.message_id AND t.part = p.part
        AND t.kind = '{Kind.REFUND}' LIMIT 1) IS TRUE
FROM parts p WHERE message_id = $1 ORDER BY part"""  # noqa: S608 - a word of our own


async def parts(connection: Connection, message_id: UUID) -> list[Part]:
    """The segments of a message that was found with `get`."""
    return [Part(*row) for row in await connection.fetch(_PARTS, message_id)]


# Message by message, so that nothing of the view is gone through for all of them.
_PARTS_OF_MANY = f"""
SELECT asked.message_id, p.* FROM unnest($1::uuid[]) AS asked (message_id) CROSS JOIN LATERAL (
{_PARTS.replace("$1", "asked.message_id")}) p"""  # noqa: S608 - a statement of our own


async def parts_of_many(
    connection: Connection, message_ids: Sequence[UUID]
) -> dict[UUID, list[Part]]:
    """The segments of messages that were found with `get_many`."""
    found: dict[UUID, list[Part]] = {message_id: [] for message_id in message_ids}
    for message_id, *part in await connection.fetch(_PARTS_OF_MANY, message_ids):
        found[message_id].append(Part(*part))
    return found


_COUNTS = """
SELECT status, count(*) AS message_count, sum(segment_count)::bigint AS segment_count,
       sum(segment_count * segment_price_micro)::bigint AS price_micro
FROM messages WHERE account_id = $1 GROUP BY status ORDER BY status"""


async def counts(connection: Connection, account_id: int) -> list[tuple[str, int, int, int]]:
    """(status, messages, segments, price in micro-units) of all that the account has sent."""
    return [(row[0], row[1], row[2], row[3]) for row in await connection.fetch(_COUNTS, account_id)]
