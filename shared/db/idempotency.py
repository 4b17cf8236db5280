"""A producer's own name for a request: same key, same answer, one debit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from shared.db.connection import Connection

KEEP_DAYS = 7


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to the first request under a key."""

    fingerprint: bytes
    http_status: int
    answer: bytes


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


_FIND = """
SELECT account_id, key, fingerprint, http_status, answer FROM idempotency_keys
JOIN unnest($1::int[], $2::text[]) AS t (account_id, key) USING (account_id, key)"""


async def find(connection: Connection, keys: Sequence[Key]) -> dict[Key, StoredAnswer]:
    """The stored answers of these keys. Call it after `lock`, as a statement of its own: only then
    does its snapshot hold what the last owner of the lock committed."""
    rows = await connection.fetch(
        _FIND, [account_id for account_id, _ in keys], [key for _, key in keys]
    )
    return {
        (row["account_id"], row["key"]): StoredAnswer(
            row["fingerprint"], row["http_status"], row["answer"]
        )
        for row in rows
    }


_INSERT = """
INSERT INTO idempotency_keys (account_id, key, fingerprint, http_status, answer)
SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[], $4::smallint[], $5::bytea[])"""


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
        )


_FORGET = f"""
DELETE FROM idempotency_keys WHERE (account_id, key) IN (
    SELECT account_id, key FROM idempotency_keys
    WHERE created_at < now() - interval '{KEEP_DAYS} days' ORDER BY created_at LIMIT 5000
    FOR UPDATE SKIP LOCKED)"""  # noqa: S608 - the constant above


async def forget_old(connection: Connection) -> None:
    """Delete some keys that are past their time."""
    await connection.execute(_FORGET)
