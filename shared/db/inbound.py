"""What phones send: stored part by part, joined, and read by the account whose line it came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.access.seals import Seals
from shared.db import cleaning, events, inbound_parts, obey, sealed_texts
from shared.db.connection import Connection
from shared.db.inbound_parts import STORES_BODIES, NewPart
from shared.rules import event_types
from shared.sms import keywords
from shared.sms.inbound import Alphabet, InboundPart, InboundText, Piece, first_word, join
from shared.sms.keywords import PhoneWord

REPEAT_SECONDS = 3600
"""For so long a delivery that is the same as one before, to the octet, is taken for the same, for a
carrier that has not heard our answer repeats what it has delivered. A part has a name: the phone's
reference, and its number. A whole message has none, and people do send the same text again: so it
is forgotten (`forget_heard`) once it is known that the carrier has heard."""
REPEAT_UNHEARD_SECONDS = 60
"""The same for what has no name, where that is never known: people seldom repeat themselves so
soon."""


class Arrival(NamedTuple):
    """One delivery of a carrier, and the id that its message gets if it is alone."""

    inbound_id: UUID
    carrier_id: int
    part: InboundPart

    @property
    def has_name(self) -> bool:
        """Whether something tells it from a phone that repeats itself."""
        return self.part.concatenation is not None or bool(self.part.mark)

    @property
    def fingerprint(self) -> bytes:
        """What its repetition has too."""
        return self.part.fingerprint(self.carrier_id)


class NewInbound(NamedTuple):
    """A message to be kept; a row of the type `new_inbound`. Without `received_at` it has come
    now."""

    inbound_id: UUID
    carrier_id: int
    sender: str
    recipient: str
    body: str | None
    data: bytes | None
    udh: bytes | None
    encoding: str
    part_count: int
    missing: Sequence[int]
    received_at: datetime | None

    def __repr__(self) -> str:
        return f"NewInbound({self.inbound_id})"


@dataclass(frozen=True, slots=True)
class StoredInbound:
    """A message as its account, or the operator, reads it. `sequence` is None where it is
    nobody's; where the body is not stored there is neither text nor data."""

    inbound_id: UUID
    sequence: int | None
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    body: str | None = field(repr=False)
    data: bytes | None = field(repr=False)
    body_stored: bool
    udh: bytes | None = field(repr=False)
    encoding: str
    part_count: int
    missing: Sequence[int]
    answer_to: UUID | None
    received_at: datetime


# In order, so that no two who bring the same wait for each other in a circle.
_SEE = """
INSERT INTO inbound_seen AS s (fingerprint, until)
SELECT f.fingerprint, now() + make_interval(secs => f.seconds)
FROM unnest($1::bytea[], $2::integer[]) AS f (fingerprint, seconds) ORDER BY f.fingerprint
ON CONFLICT (fingerprint) DO UPDATE SET until = excluded.until WHERE s.until < now()
RETURNING fingerprint"""


async def store(
    connection: Connection,
    seals: Seals,
    arrivals: Sequence[Arrival],
    unnamed_seconds: int = REPEAT_SECONDS,
) -> int:
    """Keep what has not been kept before, in the caller's transaction: whole messages as such,
    parts until they are joined. Returns how many were repetitions. `unnamed_seconds` is for how
    long what has no name is taken for a repetition."""
    given: dict[bytes, Arrival] = {}
    # A plain hash of a number and a short text can be guessed.
    to_veil = await inbound_parts.without_texts(
        connection, [arrival.part.recipient for arrival in arrivals]
    )
    for arrival in arrivals:
        told = arrival.fingerprint
        given.setdefault(seals.veiled(told) if arrival.part.recipient in to_veil else told, arrival)
    seconds = [REPEAT_SECONDS if each.has_name else unnamed_seconds for each in given.values()]
    fresh = [given[row[0]] for row in await connection.fetch(_SEE, list(given), seconds)]
    # In the order they came, which tells the parts of two messages of one reference apart.
    fresh.sort(key=lambda arrival: arrival.inbound_id)
    parts = [part for each in fresh if (part := _part(each)) is not None]
    await inbound_parts.keep(connection, seals, parts)
    alone = [_alone(each) for each in fresh if each.part.concatenation is None]
    await insert(connection, seals, alone)
    return len(arrivals) - len(fresh)


def _part(arrival: Arrival) -> NewPart | None:
    part = arrival.part
    said = part.concatenation
    if said is None:
        return None
    return NewPart(
        arrival.carrier_id,
        part.sender,
        part.recipient,
        said.reference,
        said.reference_bits,
        said.total,
        said.number,
        part.alphabet,
        part.udh,
        part.payload,
        None,
    )


def _alone(arrival: Arrival) -> NewInbound:
    part = arrival.part
    said = join(1, [Piece(1, part.alphabet, part.payload, part.udh)])
    return new_inbound(
        arrival.inbound_id, (arrival.carrier_id, part.sender, part.recipient), said, 1, None
    )


def new_inbound(
    inbound_id: UUID,
    way: tuple[int, str, str],
    said: InboundText,
    part_count: int,
    received_at: datetime | None,
) -> NewInbound:
    """A message to be kept; `way` is its carrier, sender and recipient."""
    return NewInbound(
        inbound_id,
        *way,
        said.body,
        said.data,
        said.udh,
        said.encoding,
        part_count,
        said.missing,
        received_at,
    )


# A number that several accounts have as a line belongs to the one whose keyword is the first word,
# else to the one that had the last word with the phone, and to nobody where none had. Within an
# account numbers follow the order of the ids. The account's log of events tells of each. What is
# nobody's is kept without its text if one of those that have the number keeps none.
_INSERT = f"""
WITH owned AS MATERIALIZED (
    SELECT n.*, coalesce(n.received_at, now()) AS came_at, o.account_id, o.line_id, o.message_id,
           coalesce(o.body_stored, NOT EXISTS (
               SELECT FROM lines l WHERE l.sender = n.recipient AND NOT {STORES_BODIES}
           )) AS body_stored,
           row_number() OVER (PARTITION BY o.account_id ORDER BY n.inbound_id) AS place
    FROM unnest($1::new_inbound[], $2::text[]) AS n (inbound_id, carrier_id, sender, recipient,
        body, data, udh, encoding, part_count, missing, received_at, word)
    LEFT JOIN LATERAL (
        SELECT l.account_id, l.line_id, last.message_id, count(*) OVER () AS line_count,
               coalesce(l.keyword = n.word, false) AS is_named,
               {STORES_BODIES} AS body_stored
        FROM lines l
        LEFT JOIN LATERAL (
            SELECT m.message_id FROM messages m
            WHERE m.recipient = n.sender AND m.sender = n.recipient AND m.sender !~ '[A-Za-z]'
              AND m.account_id = l.account_id AND m.created_at <= coalesce(n.received_at, now())
            ORDER BY m.message_id DESC LIMIT 1
        ) last ON true
        WHERE l.sender = n.recipient
        ORDER BY is_named DESC, last.message_id DESC NULLS LAST LIMIT 1
    ) o ON o.line_count = 1 OR o.is_named OR o.message_id IS NOT NULL
), head AS MATERIALIZED (
    SELECT account_id, count(*) AS count FROM owned
    WHERE account_id IS NOT NULL GROUP BY account_id
), numbered AS (
    INSERT INTO inbound_heads AS h (account_id, last_sequence)
    SELECT account_id, count FROM head ORDER BY account_id
    ON CONFLICT (account_id) DO UPDATE SET last_sequence = h.last_sequence + excluded.last_sequence
    RETURNING account_id, last_sequence
), kept AS (
    INSERT INTO inbound (inbound_id, account_id, sequence, line_id, carrier_id, sender, recipient,
        body, data, body_stored, udh, encoding, part_count, missing, answer_to, received_at)
    SELECT o.inbound_id, o.account_id, n.last_sequence - h.count + o.place, o.line_id,
           o.carrier_id, o.sender, o.recipient, CASE WHEN o.body_stored THEN o.body ELSE '' END,
           CASE WHEN o.body_stored THEN o.data END, o.body_stored, o.udh, o.encoding, o.part_count,
           o.missing, o.message_id, o.came_at
    FROM owned o
    LEFT JOIN head h ON h.account_id = o.account_id
    LEFT JOIN numbered n ON n.account_id = o.account_id
    RETURNING account_id, inbound_id, body_stored
), changed AS (
    SELECT account_id, inbound_id AS message_id, '{event_types.INBOUND_RECEIVED}' AS status,
           '' AS reason, NULL::text AS reference
    FROM kept WHERE account_id IS NOT NULL
), {events.APPEND_CHANGED}
SELECT inbound_id FROM kept WHERE NOT body_stored"""  # noqa: S608 - the constants above


async def insert(connection: Connection, seals: Seals, messages: Sequence[NewInbound]) -> None:
    """Keep messages, each with the account it belongs to, if there is one, and the message that it
    answers; tell the account, and do what their phones ask for. What a line keeps no texts of is
    sealed (`sealed_texts`). The last that a transaction locks but wallets."""
    if not messages:
        return
    said = [
        (each, each.body)
        for each in messages
        if each.body is not None and not each.missing and keywords.may_mean(each.body, *PhoneWord)
    ]
    if said:
        await obey.prepare(connection, [(each.sender, each.recipient, t) for each, t in said])
    rows = await connection.fetch(_INSERT, messages, [*map(_word, messages)])
    if rows:
        contents = {each.inbound_id: _content(each) for each in messages}
        await sealed_texts.keep_of_inbound(
            connection, seals, {id_: contents[id_] for (id_,) in rows}
        )
    if said:
        await obey.obey(connection, {each.inbound_id: text for each, text in said})


def _content(message: NewInbound) -> bytes:
    return message.body.encode() if message.body is not None else message.data or b""


def _word(message: NewInbound) -> str:
    """The first word, where it has one and its part has come."""
    return "" if message.body is None or 1 in message.missing else first_word(message.body)


_COLUMNS = """
SELECT inbound_id, sequence, sender, recipient, CASE WHEN body_stored THEN body END, data,
       body_stored, udh, encoding, part_count, missing, answer_to, received_at
FROM inbound"""
_AFTER = f"""{_COLUMNS}
WHERE account_id = $1 AND sequence > $2 AND recipient <> ALL ($4::text[])
ORDER BY sequence LIMIT $3"""


async def after(
    connection: Connection,
    account_id: int,
    sequence: int,
    limit: int,
    hidden: Sequence[str] = (),
) -> list[StoredInbound]:
    """The account's messages numbered above `sequence`, oldest first, at most `limit`; without
    those to `hidden` lines."""
    rows = await connection.fetch(_AFTER, account_id, sequence, limit, hidden)
    return [StoredInbound(*row) for row in rows]


_GET_MANY = f"{_COLUMNS} WHERE account_id = $1 AND inbound_id = ANY ($2::uuid[])"


async def get_many(
    connection: Connection, account_id: int, inbound_ids: Sequence[UUID]
) -> dict[UUID, StoredInbound]:
    """Those of these messages that the account has."""
    rows = await connection.fetch(_GET_MANY, account_id, inbound_ids)
    return {row["inbound_id"]: StoredInbound(*row) for row in rows}


async def with_texts(
    connection: Connection, seals: Seals, stored: Iterable[StoredInbound]
) -> list[StoredInbound]:
    """The same, and where a body is not stored, what it says as long as it is still sealed."""
    messages = list(stored)
    not_stored = [each.inbound_id for each in messages if not each.body_stored]
    if not not_stored:
        return messages
    contents = await sealed_texts.opened(connection, seals, not_stored)
    return [_with_content(each, contents.get(each.inbound_id)) for each in messages]


def _with_content(stored: StoredInbound, content: bytes | None) -> StoredInbound:
    if content is None:
        return stored
    if stored.encoding == Alphabet.BINARY:
        return replace(stored, data=content)
    return replace(stored, body=content.decode())


_OF_NOBODY = f"""{_COLUMNS}
WHERE account_id IS NULL AND inbound_id < $1 ORDER BY inbound_id DESC LIMIT $2"""
_ABOVE_ALL = UUID(int=2**128 - 1)


async def of_nobody(
    connection: Connection, limit: int, before: UUID = _ABOVE_ALL
) -> list[StoredInbound]:
    """What matched no account, newest first, below `before`, at most `limit`."""
    return [StoredInbound(*row) for row in await connection.fetch(_OF_NOBODY, before, limit)]


_FORGET_HEARD = "DELETE FROM inbound_seen WHERE fingerprint = ANY ($1::bytea[])"


async def forget_heard(connection: Connection, seals: Seals, fingerprints: Sequence[bytes]) -> None:
    """Forget deliveries whose answers have been heard: what is the same from now on is another."""
    await connection.execute(_FORGET_HEARD, [*fingerprints, *map(seals.veiled, fingerprints)])


_FORGET_SEEN = """
DELETE FROM inbound_seen WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM inbound_seen WHERE until < now() LIMIT $1 FOR UPDATE SKIP LOCKED))"""


async def forget_seen(database: asyncpg.Pool) -> None:
    """Forget deliveries that come again no more."""
    await cleaning.by_pages(database, _FORGET_SEEN)
