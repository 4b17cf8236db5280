"""Phones that an account must not write to. Whoever makes such a row, or ends one, does so alone;
and no claim commits between an opt-out's beginning and its commit."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.db import events
from shared.db.connection import Connection
from shared.db.events import NewEvent
from shared.rules import event_types

FENCE = 0x51C1CE02
"""What a claim shares and an opt-out has alone, until they commit: so a claim either has committed
before the opt-out, or sees it (see `limits.behind_fence`)."""
_TURN = 0x51C1CE03

REASON = "opted_out"
"""Of messages that were canceled because their phone has opted out."""


class OptOutSource(StrEnum):
    """Who made an opt-out, or ended one."""

    PHONE = "phone"
    PRODUCER = "producer"
    OPERATOR = "operator"


class PhoneOfAccount(NamedTuple):
    """Whom an account writes to."""

    account_id: int
    recipient: str

    def __repr__(self) -> str:
        return f"PhoneOfAccount(account_id={self.account_id})"


class NewOptOut(NamedTuple):
    """An opt-out to be made. `sender` is the number that the phone wrote to."""

    opt_out_id: UUID
    account_id: int
    recipient: str
    source: OptOutSource
    reason: str = ""
    sender: str | None = None

    def __repr__(self) -> str:
        return f"NewOptOut({self.opt_out_id})"

    @property
    def phone(self) -> PhoneOfAccount:
        """Whom it is about."""
        return PhoneOfAccount(self.account_id, self.recipient)


@dataclass(frozen=True, slots=True)
class StoredOptOut:
    """An opt-out as its account reads it; in force while it has no end."""

    opt_out_id: UUID
    recipient: str = field(repr=False)
    source: str
    reason: str
    sender: str | None = field(repr=False)
    created_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None


async def take_turn(connection: Connection) -> None:
    """Wait, within a transaction, for all others that change opt-outs, and hold them up until it
    ends: before anything else is locked that they lock."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _TURN)


async def hold_claims(connection: Connection) -> None:
    """Wait, within a turn, for the claims that are under way, and hold up all others until the
    transaction ends, which is to be soon. Before anything is locked that a claim may lock too."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", FENCE)


_ALL_OUT = """
SELECT NOT EXISTS (
    SELECT FROM unnest($1::text[], $2::text[]) AS t (recipient, line)
    JOIN lines l ON l.sender = t.line
    WHERE NOT EXISTS (
        SELECT FROM opt_outs o WHERE o.account_id = l.account_id AND o.recipient = t.recipient
        AND o.ended_at IS NULL))"""


async def all_out(connection: Connection, ways: Sequence[Sequence[str]]) -> bool:
    """Whether each of these (phone, line's sender) has opted out of all accounts that have such a
    line: then it cannot do so again, and no claim need be held up."""
    return bool(await connection.fetchval(_ALL_OUT, *map(list, zip(*ways, strict=True))))


class OptOutChange(NamedTuple):
    """An opt-out that was made or ended."""

    opt_out_id: UUID
    account_id: int
    recipient: str

    def __repr__(self) -> str:
        return f"OptOutChange({self.opt_out_id})"

    @property
    def phone(self) -> PhoneOfAccount:
        """Whom it is about."""
        return PhoneOfAccount(self.account_id, self.recipient)


# Of a phone the first counts, and what is there already is left alone.
_CREATE = """
INSERT INTO opt_outs (opt_out_id, account_id, recipient, source, reason, sender)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[])
ON CONFLICT (account_id, recipient) WHERE ended_at IS NULL DO NOTHING
RETURNING opt_out_id, account_id, recipient"""


async def create(connection: Connection, wanted: Sequence[NewOptOut]) -> list[OptOutChange]:
    """Opt out those that are not, in the caller's transaction and turn, which is to `tell` of it
    and then to end: until then all claims wait for it."""
    known = await in_force(connection, [each.phone for each in wanted])
    new = [each for each in wanted if each.phone not in known]
    if not new:
        return []
    await hold_claims(connection)
    rows = await connection.fetch(_CREATE, *map(list, zip(*new, strict=True)))
    return [OptOutChange(*row) for row in rows]


_END = """
UPDATE opt_outs SET ended_at = clock_timestamp(), ended_by = $3, end_reason = $4
WHERE opt_out_id = ANY (ARRAY(
    SELECT found.opt_out_id FROM unnest($1::int[], $2::text[]) AS t (account_id, recipient)
    CROSS JOIN LATERAL (
        SELECT opt_out_id FROM opt_outs WHERE account_id = t.account_id
        AND recipient = t.recipient AND ended_at IS NULL LIMIT 1) found))
RETURNING opt_out_id, account_id, recipient"""


async def end(
    connection: Connection, phones: Sequence[PhoneOfAccount], source: OptOutSource, reason: str
) -> list[OptOutChange]:
    """Opt in again those that are out, in the caller's transaction and turn, which is to `tell` of
    it."""
    if not phones:
        return []
    rows = await connection.fetch(_END, *map(list, zip(*phones, strict=True)), source, reason)
    return [OptOutChange(*row) for row in rows]


async def tell(
    connection: Connection, created: Sequence[OptOutChange] = (), ended: Sequence[OptOutChange] = ()
) -> None:
    """Append what was changed in this transaction to the accounts' logs, all at once."""
    told = [(event_types.OPT_OUT_DELETED, each) for each in ended]
    told += [(event_types.OPT_OUT_CREATED, each) for each in created]
    await events.append(
        connection, [NewEvent(each.account_id, kind, each.opt_out_id) for kind, each in told]
    )


_OPTED_OUT = """
    SELECT true AS opted_out FROM opt_outs o
    WHERE o.account_id = m.account_id AND o.recipient = m.recipient AND o.ended_at IS NULL"""
IS_OPTED_OUT = f"{_OPTED_OUT} LIMIT 1"
"""Of a message `m`, as a subquery that is one look at an index: a row if its phone has opted
out."""
IS_UNWANTED = f"""{_OPTED_OUT}
      AND NOT EXISTS (SELECT FROM auto_replies r WHERE r.message_id = m.message_id) LIMIT 1"""
"""The same, but of the answer to a phone's word: that is sent to it all the same."""

_IN_FORCE = f"""
SELECT m.account_id, m.recipient FROM unnest($1::int[], $2::text[]) AS m (account_id, recipient)
CROSS JOIN LATERAL ({IS_OPTED_OUT}) o"""  # noqa: S608 - a part of our own


async def in_force(
    connection: Connection, phones: Sequence[PhoneOfAccount]
) -> AbstractSet[PhoneOfAccount]:
    """Those of the phones that have opted out."""
    if not phones:
        return frozenset()
    rows = await connection.fetch(_IN_FORCE, *map(list, zip(*phones, strict=True)))
    return {PhoneOfAccount(*row) for row in rows}


_COLUMNS = """
SELECT opt_out_id, recipient, source, reason, sender, created_at, ended_at, ended_by, end_reason
FROM opt_outs"""
_PAGE = f"""{_COLUMNS}
WHERE account_id = $1 AND recipient > $2 AND ended_at IS NULL ORDER BY recipient LIMIT $3"""
_OF_PHONE = f"{_COLUMNS} WHERE account_id = $1 AND recipient = $2 AND ended_at IS NULL"
_MANY = f"{_COLUMNS} WHERE opt_out_id = ANY ($2) AND account_id = $1"


async def page(
    connection: Connection, account_id: int, limit: int, after: str = ""
) -> list[StoredOptOut]:
    """The account's opt-outs that are in force, in the order of numbers, from the one that follows
    `after`, at most `limit`."""
    rows = await connection.fetch(_PAGE, account_id, after, limit)
    return [StoredOptOut(*row) for row in rows]


async def of_phone(connection: Connection, account_id: int, recipient: str) -> StoredOptOut | None:
    """The opt-out of this phone that is in force."""
    row = await connection.fetchrow(_OF_PHONE, account_id, recipient)
    return None if row is None else StoredOptOut(*row)


async def get_many(
    connection: Connection, account_id: int, opt_out_ids: Sequence[UUID]
) -> dict[UUID, StoredOptOut]:
    """Those of these opt-outs that the account has, also ended ones."""
    rows = await connection.fetch(_MANY, account_id, opt_out_ids)
    return {row["opt_out_id"]: StoredOptOut(*row) for row in rows}


_NEW = """
SELECT opt_out_id FROM opt_outs WHERE is_new AND created_at <= now() ORDER BY created_at LIMIT $1"""

# A message of the last weeks, by its phone and a number that phones can write to: others have no
# entry in that index, and come to light when they are claimed. The weeks come second, lest all that
# was sent in them be gone through.
_WAITING = """
SELECT waiting.message_id FROM opt_outs o CROSS JOIN LATERAL (
    SELECT m.message_id FROM (
        SELECT message_id FROM messages
        WHERE recipient = o.recipient AND sender !~ '[A-Za-z]' AND account_id = o.account_id
        OFFSET 0
    ) m
    WHERE m.message_id > least_id(now() - interval '40 days')
      AND EXISTS (SELECT FROM work w WHERE w.message_id = m.message_id)
      AND NOT EXISTS (SELECT FROM auto_replies r WHERE r.message_id = m.message_id)
) waiting
WHERE o.opt_out_id = ANY ($1::uuid[]) AND o.ended_at IS NULL LIMIT $2"""

_LOOKED_FOR = "UPDATE opt_outs SET is_new = false WHERE opt_out_id = ANY ($1::uuid[])"


async def new_ones(connection: Connection, limit: int) -> list[UUID]:
    """Opt-outs whose waiting messages nobody has canceled yet, oldest first."""
    return [row["opt_out_id"] for row in await connection.fetch(_NEW, limit)]


async def waiting_for(
    connection: Connection, opt_out_ids: Sequence[UUID], limit: int
) -> list[UUID]:
    """Messages that wait for these phones, as far as an index finds them, at most `limit`."""
    rows = await connection.fetch(_WAITING, opt_out_ids, limit)
    return [row["message_id"] for row in rows]


async def looked_for(connection: Connection, opt_out_ids: Sequence[UUID]) -> None:
    """What waited for these phones has been canceled. Outside of any transaction: who ends an
    opt-out locks it before event logs, who cancels locks those."""
    await connection.execute(_LOOKED_FOR, opt_out_ids)
