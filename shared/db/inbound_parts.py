"""Parts of what phones send, while they wait for the others of their message. Those for a line that
keeps no texts wait sealed, each under a key of its own that goes with its row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from shared.access.seals import Sealed, Seals
from shared.access.vault import NotReadable
from shared.db.connection import Connection
from shared.sms.inbound import Alphabet, Piece

_log = structlog.get_logger()

_SEALED = "sealed "
"""Before the alphabet of a part whose payload is sealed."""


class NewPart(NamedTuple):
    """A part that waits for others; a row of the type `new_inbound_part`. Without `received_at` it
    has come now."""

    carrier_id: int
    sender: str
    recipient: str
    reference: int
    reference_bits: int
    total: int
    number: int
    alphabet: str
    udh: bytes
    payload: bytes
    received_at: datetime | None

    def __repr__(self) -> str:
        return f"NewPart({self.number} of {self.total})"


# Asked account by account: a join may go through all accounts for the lines of a number.
STORES_BODIES = """(l.mode <> 'api' AND (
    SELECT a.store_body FROM accounts a WHERE a.account_id = l.account_id))"""
"""Of a line `l`: whether texts from it and to it are kept (A11)."""

_WITHOUT_TEXTS = f"""
SELECT DISTINCT l.sender FROM lines l
WHERE l.sender = ANY ($1::text[]) AND NOT {STORES_BODIES}"""  # noqa: S608 - the constant above


async def without_texts(connection: Connection, numbers: Collection[str]) -> set[str]:
    """Those of the numbers that are a line, be it of one account among several, whose texts are not
    to be kept."""
    return {row["sender"] for row in await connection.fetch(_WITHOUT_TEXTS, list(set(numbers)))}


_KEEP = """
INSERT INTO inbound_parts AS p (carrier_id, sender, recipient, reference, reference_bits, total,
    numbers, alphabets, udhs, payloads, received_at, first_at, is_due)
SELECT carrier_id, sender, recipient, reference, reference_bits, total,
       array_agg(number ORDER BY place), array_agg(alphabet ORDER BY place),
       array_agg(udh ORDER BY place), array_agg(payload ORDER BY place),
       array_agg(coalesce(received_at, now()) ORDER BY place),
       min(coalesce(received_at, now())), count(*) >= total
FROM unnest($1::new_inbound_part[]) WITH ORDINALITY AS n (carrier_id, sender, recipient, reference,
    reference_bits, total, number, alphabet, udh, payload, received_at, place)
GROUP BY carrier_id, sender, recipient, reference, reference_bits, total
ORDER BY carrier_id, sender, recipient, reference, reference_bits, total
ON CONFLICT (carrier_id, sender, recipient, reference, reference_bits, total) DO UPDATE SET
    numbers = p.numbers || excluded.numbers,
    alphabets = p.alphabets || excluded.alphabets,
    udhs = p.udhs || excluded.udhs,
    payloads = p.payloads || excluded.payloads,
    received_at = p.received_at || excluded.received_at,
    is_due = p.is_due OR p.numbers && excluded.numbers
        OR cardinality(p.numbers) + cardinality(excluded.numbers) >= p.total"""


async def keep(connection: Connection, seals: Seals, parts: Sequence[NewPart]) -> None:
    """Put parts to those of their messages, in the order given. Whoever brings what may be the last
    one, or a number that is there already, makes the message due."""
    if not parts:
        return
    to_seal = await without_texts(connection, [part.recipient for part in parts])
    kept = [_sealed(seals, part) if part.recipient in to_seal else part for part in parts]
    await connection.execute(_KEEP, kept)


def _sealed(seals: Seals, part: NewPart) -> NewPart:
    sealed = seals.seal(part.payload, _about(part.sender, part.recipient))
    return part._replace(alphabet=_SEALED + part.alphabet, payload=sealed.packed)


def _about(sender: str, recipient: str) -> bytes:
    return f"{sender} {recipient}".encode()


class InboundWaiting(NamedTuple):
    """The parts that have come with one reference, in the order they came, and when; `taken_at`
    is the transaction's time."""

    carrier_id: int
    sender: str
    recipient: str
    reference: int
    reference_bits: int
    total: int
    pieces: Sequence[Piece]
    received_at: Sequence[datetime]
    taken_at: datetime

    def __repr__(self) -> str:
        return f"InboundWaiting({len(self.pieces)} of {self.total})"


# A row that has become another since it was seen stays for the next time.
_TAKE = """
DELETE FROM inbound_parts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM inbound_parts WHERE is_due AND first_at <= now()
    ORDER BY first_at LIMIT $1 FOR UPDATE SKIP LOCKED
) || ARRAY(
    SELECT ctid FROM inbound_parts WHERE first_at < now() - make_interval(secs => $2)
    ORDER BY first_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING carrier_id, sender, recipient, reference, reference_bits, total,
          numbers, alphabets, payloads, udhs, received_at, now()"""


async def take_due(
    connection: Connection, seals: Seals, limit: int, wait_seconds: float
) -> list[InboundWaiting]:
    """Take out what may be whole, and what has waited so long for its other parts, at most `limit`
    of each. The caller keeps all of it in another form, in the same transaction; others that take
    at the same time get others."""
    return [_waiting(seals, *row) for row in await connection.fetch(_TAKE, limit, wait_seconds)]


def _waiting(seals: Seals, *columns: Any) -> InboundWaiting:
    *key, numbers, alphabets, payloads, udhs, received_at, taken_at = columns
    about = _about(*key[1:3])
    pieces = [
        Piece(number, *_opened(seals, about, alphabet, payload), udh)
        for number, alphabet, payload, udh in zip(numbers, alphabets, payloads, udhs, strict=True)
    ]
    return InboundWaiting._make((*key, pieces, received_at, taken_at))


def _opened(seals: Seals, about: bytes, alphabet: str, payload: bytes) -> tuple[Alphabet, bytes]:
    """How the payload is read, and the payload as the phone has sent it: nothing, if no key opens
    it any more."""
    plain = Alphabet(alphabet.removeprefix(_SEALED))
    if plain == alphabet:
        return plain, payload
    try:
        return plain, seals.open(Sealed.unpacked(payload), about)
    except NotReadable:
        _log.error("sealed_part_not_readable")
        return plain, b""
