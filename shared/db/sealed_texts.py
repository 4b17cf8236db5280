"""Texts that are not to be kept, sealed: those of messages until nothing of them will be submitted
again, which the database sees to itself; those of phones until they are handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from shared.access.seals import Sealed, Seals
from shared.access.vault import NotReadable
from shared.db import cleaning, pool, words
from shared.db.connection import Connection
from shared.sms import states

INBOUND_HOURS = 24
"""So long what a phone has sent waits to be handed over."""
PAGE_COUNT = 1_000

_INSERT = """
INSERT INTO sealed_texts (subject_id, salt, octets, key_name, until)
SELECT t.*, now() + make_interval(hours => $5)
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[]) t"""


async def keep_of_messages(connection: Connection, seals: Seals, texts: Mapping[UUID, str]) -> None:
    """Seal the texts of messages that are stored without them in the same transaction."""
    await _insert(connection, seals, {key: text.encode() for key, text in texts.items()}, None)


async def keep_of_inbound(
    connection: Connection, seals: Seals, contents: Mapping[UUID, bytes]
) -> None:
    """Seal what phones have sent, texts in UTF-8, for INBOUND_HOURS."""
    await _insert(connection, seals, contents, INBOUND_HOURS)


async def _insert(
    connection: Connection, seals: Seals, contents: Mapping[UUID, bytes], hours: int | None
) -> None:
    if not contents:
        return
    sealed = [seals.seal(content, key.bytes) for key, content in contents.items()]
    await connection.execute(_INSERT, list(contents), *map(list, zip(*sealed, strict=True)), hours)


_GET = """
SELECT subject_id, salt, octets, key_name FROM sealed_texts WHERE subject_id = ANY ($1::uuid[])"""


async def opened(
    connection: Connection, seals: Seals, subject_ids: Sequence[UUID]
) -> dict[UUID, bytes]:
    """What these are about says, as it was kept; without those whose time is over, and those whose
    key is gone."""
    found: dict[UUID, bytes] = {}
    for subject_id, *sealed in await connection.fetch(_GET, subject_ids):
        try:
            found[subject_id] = seals.open(Sealed(*sealed), subject_id.bytes)
        except NotReadable:
            continue
    return found


_ERASE = "DELETE FROM sealed_texts WHERE subject_id = ANY ($1::uuid[])"


async def erase(connection: Connection, subject_ids: Sequence[UUID]) -> None:
    """These have been handed over: no key opens them any more."""
    await connection.execute(_ERASE, subject_ids)


_FORGET_INBOUND = """
DELETE FROM sealed_texts WHERE subject_id = ANY (ARRAY(
    SELECT subject_id FROM sealed_texts WHERE until < now()
    ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED))"""

_PAGE = """
SELECT subject_id, salt, octets, key_name FROM sealed_texts WHERE subject_id > $1
ORDER BY subject_id LIMIT $2"""

_FORGET_ENDED = f"""
DELETE FROM sealed_texts t
WHERE t.subject_id = ANY ($1::uuid[]) AND t.until IS NULL AND NOT EXISTS (
    SELECT FROM messages m
    WHERE m.message_id = t.subject_id AND m.status IN ({words.listed(states.TO_SUBMIT)}))"""  # noqa: S608 - words of our own


async def sweep(database: asyncpg.Pool, seals: Seals) -> int:
    """Erase what phones have sent and nobody has taken in time; and, should one ever be left, the
    text of a message that has ended. Seal again, under the key that seals now, what another has
    sealed; returns how many. What no key opens stays until its time is over."""
    await cleaning.by_pages(database, _FORGET_INBOUND)
    renewed_count, reached = 0, UUID(int=0)
    while True:
        async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as connection:
            rows = await connection.fetch(_PAGE, reached, PAGE_COUNT)
            await connection.execute(_FORGET_ENDED, [row["subject_id"] for row in rows])
            stored = {subject_id: Sealed(*columns) for subject_id, *columns in rows}
            renewed_count += await _renew(connection, seals, stored)
        if len(rows) < PAGE_COUNT:
            return renewed_count
        reached = rows[-1]["subject_id"]


_RESEAL = """
UPDATE sealed_texts t SET salt = n.salt, octets = n.octets, key_name = n.key_name
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[])
    AS n (subject_id, salt, octets, key_name, old_salt)
WHERE t.subject_id = n.subject_id AND t.salt = n.old_salt"""


async def _renew(connection: Connection, seals: Seals, stored: Mapping[UUID, Sealed]) -> int:
    again: list[tuple[UUID, bytes, bytes, bytes, bytes]] = []
    for subject_id, old in stored.items():
        if old.key_name == seals.key_name:
            continue
        try:
            text = seals.open(old, subject_id.bytes)
        except NotReadable:
            continue
        again.append((subject_id, *seals.seal(text, subject_id.bytes), old.salt))
    if again:
        await connection.execute(_RESEAL, *map(list, zip(*again, strict=True)))
    return len(again)
