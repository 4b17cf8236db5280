"""Who has agreed to be written to by an account: when, where, and to which words. Whoever makes a
consent, or ends one, does so alone, and meanwhile nothing is accepted that asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection
from shared.db.opt_outs import PhoneOfAccount

_TURN = 0x51C1CE04


class ConsentSource(StrEnum):
    """Who recorded a consent, or ended one."""

    PRODUCER = "producer"
    OPERATOR = "operator"


class NewConsent(NamedTuple):
    """A consent to be recorded: to `wording`, given at that time in that place; `purpose` is the
    most that was agreed to."""

    consent_id: UUID
    account_id: int
    recipient: str
    purpose: str
    given_at: datetime
    place: str
    wording: str
    source: ConsentSource

    def __repr__(self) -> str:
        return f"NewConsent({self.consent_id})"

    @property
    def phone(self) -> PhoneOfAccount:
        """Whose consent it is."""
        return PhoneOfAccount(self.account_id, self.recipient)


@dataclass(frozen=True, slots=True)
class StoredConsent:
    """A consent as its account reads it; in force while it has no end."""

    consent_id: UUID
    recipient: str = field(repr=False)
    purpose: str
    given_at: datetime
    place: str
    wording: str
    source: str
    created_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None


REPLACED = "replaced"
"""Why a consent ends where a later one takes its place."""


async def take_turn(connection: Connection) -> None:
    """Wait, within a transaction, for all others that change consents or accept what asks for one,
    and hold them up until it ends, which is to be soon."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _TURN)


async def hold(connection: Connection) -> None:
    """See to it, within a transaction and before anything is locked in it, that what the next
    statement reads of consents stands until it ends: then a message is accepted before a consent's
    end is committed, or not at all."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _TURN)


# What is in force with the same content stays as it is; any other gives way.
_REPLACE = """
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[],
        $6::text[], $7::text[], $8::text[])
        AS t (consent_id, account_id, recipient, purpose, given_at, place, wording, source)
)
UPDATE consents c SET ended_at = clock_timestamp(), ended_by = w.source, end_reason = $9
FROM wanted w
WHERE c.consent_id = (
        SELECT consent_id FROM consents f
        WHERE f.account_id = w.account_id AND f.recipient = w.recipient AND f.ended_at IS NULL)
  AND (c.purpose, c.given_at, c.place, c.wording)
      IS DISTINCT FROM (w.purpose, w.given_at, w.place, w.wording)"""
_CREATE = """
INSERT INTO consents (consent_id, account_id, recipient, purpose, given_at, place, wording, source)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
    $7::text[], $8::text[])
ON CONFLICT (account_id, recipient) WHERE ended_at IS NULL DO NOTHING RETURNING consent_id"""


async def record(connection: Connection, wanted: Sequence[NewConsent]) -> set[UUID]:
    """Record these, of different phones, in the caller's turn; those that are new. What a phone's
    consent was before ends, unless it was the same."""
    if not wanted:
        return set()
    columns = list(map(list, zip(*wanted, strict=True)))
    await connection.execute(_REPLACE, *columns, REPLACED)
    return {row["consent_id"] for row in await connection.fetch(_CREATE, *columns)}


_END = """
UPDATE consents SET ended_at = clock_timestamp(), ended_by = $3, end_reason = $4
WHERE account_id = $1 AND recipient = $2 AND ended_at IS NULL RETURNING true"""


async def end(
    connection: Connection, phone: PhoneOfAccount, source: ConsentSource, reason: str
) -> bool:
    """Withdraw the phone's consent, in the caller's turn; whether there was one."""
    return bool(await connection.fetchval(_END, *phone, source, reason))


HISTORY_COUNT_MAX = 1_000
"""Consents of one phone that are told of."""
_COLUMNS = """
SELECT consent_id, recipient, purpose, given_at, place, wording, source, created_at, ended_at,
       ended_by, end_reason
FROM consents"""
_PAGE = f"""{_COLUMNS}
WHERE account_id = $1 AND recipient > $2 AND ended_at IS NULL ORDER BY recipient LIMIT $3"""
_OF_PHONE = f"""
SELECT * FROM ({_COLUMNS} WHERE account_id = $1 AND recipient = $2 AND ended_at IS NULL) now
UNION ALL
SELECT * FROM (
    {_COLUMNS} WHERE account_id = $1 AND recipient = $2 AND ended_at IS NOT NULL
    ORDER BY consent_id DESC LIMIT {HISTORY_COUNT_MAX}) before"""  # noqa: S608 - parts of our own


async def page(
    connection: Connection, account_id: int, limit: int, after: str = ""
) -> list[StoredConsent]:
    """The account's consents that are in force, in the order of numbers, from the one that follows
    `after`, at most `limit`."""
    rows = await connection.fetch(_PAGE, account_id, after, limit)
    return [StoredConsent(*row) for row in rows]


async def of_phone(connection: Connection, account_id: int, recipient: str) -> list[StoredConsent]:
    """All consents of this phone, the newest first, which alone may be in force."""
    rows = await connection.fetch(_OF_PHONE, account_id, recipient)
    return [StoredConsent(*row) for row in rows]
