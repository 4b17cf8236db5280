"""A producer's own name for a request: same key, same answer, one debit, for a week or for as long
as its face says."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection

KEEP_DAYS = 7
PAGE_COUNT = 5_000
"""Keys deleted in one transaction, about 0.1 s."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to the first request under a key. `good_seconds`: for how long the key
    means that request; None: KEEP_DAYS."""

    fingerprint: bytes
    http_status: int
    answer: bytes
    good_seconds: int | None = None


Key = tuple[int, str]
"""(account, the producer's key)."""


def _lock_number(key: Key) -> int:
    digest = hashlib.blake2b(f"{key[0]}:{key[1]}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


_LOCK = """
SELECT pg_try_advisory_xact_lock(number) AS locked
FROM unnest($1::bigint[]) WITH ORDINALITY AS t (number, place) ORDER BY place"""


async def lock(connection: Connection, keys: Sequence[Key]) -> list[bool]:
    """For each key, whether this transaction now holds it. Never waits: a key held elsewhere is one
    whose request is still running."""
    rows = await connection.fetch(_LOCK, [_lock_number(key) for key in keys])
    return [row["locked"] for row in rows]


_OLD = f"created_at <= now() - interval '{KEEP_DAYS} days'"
_OVER = "good_until <= now()"

_FIND = f"""
SELECT account_id, key, fingerprint, http_status, answer FROM idempotency_keys
JOIN unnest($1::int[], $2::text[]) AS t (account_id, key) USING (account_id, key)
WHERE NOT {_OLD} AND ({_OVER}) IS NOT TRUE"""


async def find(connection: Connection, keys: Sequence[Key]) -> dict[Key, StoredAnswer]:
    """The stored answers of those of these keys whose time is not over. Call it after `lock`, as a
    statement of its own: only then does its snapshot hold what the lock's last owner committed."""
    rows = await connection.fetch(
        _FIND, [account_id for account_id, _ in keys], [key for _, key in keys]
    )
    return {
        (row["account_id"], row["key"]): StoredAnswer(
            row["fingerprint"], row["http_status"], row["answer"]
        )
        for row in rows
    }


# A key past its time that was not swept yet gives way; `find` has not shown it either.
_INSERT = f"""
INSERT INTO idempotency_keys AS k (account_id, key, fingerprint, http_status, answer, good_until)
SELECT account_id, key, fingerprint, http_status, answer,
       now() + good_seconds * interval '1 second'
FROM unnest($1::int[], $2::text[], $3::bytea[], $4::smallint[], $5::bytea[], $6::int[])
    AS t (account_id, key, fingerprint, http_status, answer, good_seconds)
ON CONFLICT (account_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, http_status = excluded.http_status,
    answer = excluded.answer, created_at = excluded.created_at, good_until = excluded.good_until
WHERE k.{_OLD} OR k.{_OVER}"""


async def insert(connection: Connection, answers: Sequence[tuple[Key, StoredAnswer]]) -> None:
    """Store the answers in the transaction that made them true."""
    if answers:
        await connection.execute(
            _INSERT,
            [key[0] for key, _ in answers],
            [key[1] for key, _ in answers],
            [stored.fingerprint for _, stored in answers],
            [stored.http_status for _, stored in answers],
            [stored.answer for _, stored in answers],
            [stored.good_seconds for _, stored in answers],
        )


def _forget(over: str, order: str) -> str:
    return f"""
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys
    WHERE {over} ORDER BY {order} LIMIT $1 FOR UPDATE SKIP LOCKED))"""


FORGET = (_forget(_OLD, "created_at"), _forget(_OVER, "good_until"))
"""Keys that are old, and those whose face has said that their time is over."""


async def sweep(database: asyncpg.Pool) -> None:
    """Delete every key that is past its time."""
    for statement in FORGET:
        await cleaning.by_pages(database, statement, page_count=PAGE_COUNT)
