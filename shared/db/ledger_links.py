"""The daily chain of hashes over transfers: made for days that have ended, and verified.

A link covers transfers in the order of their numbers; its hash is SHA-256 over the hash of the link
before, the day, and each transfer's own hash. A transfer that is changed, taken out or put in
between breaks the chain from its link on; who wants to change it unseen must rewrite all later
links, and so the last hash, which an operator keeps elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.db.connection import Connection

PAGE_COUNT = 10_000
"""Transfers that a link covers at most."""
MARK_BYTES = 8
"""Of each transfer's hash, kept to find the one that does not fit."""
SETTLE_SECONDS = 600
"""A day is closed so long after its end: then no transaction of it is under way any more."""
_HASH_BYTES = 32
_LOCK_KEY = 0x51C1CE09
_GENESIS = bytes(_HASH_BYTES)

_HASH = """sha256(convert_to(concat_ws('|', transfer_id, from_wallet_id, to_wallet_id, amount_micro,
    kind, coalesce(message_id::text, ''), coalesce(part::text, ''),
    (extract(epoch FROM created_at) * 1000000)::bigint, reason), 'UTF8'))"""
# Between two numbers, for what is found by its blocks is not found in order.
_BETWEEN = "FROM transfers WHERE transfer_id > $1 AND transfer_id <= $2"
_IS_THERE = f"SELECT EXISTS (SELECT {_BETWEEN})"
_NEWEST = "SELECT coalesce(pg_sequence_last_value('transfers_transfer_id_seq'), 0)"
_FIRST_DAY = f"""
SELECT (created_at AT TIME ZONE 'UTC')::date {_BETWEEN} ORDER BY transfer_id LIMIT 1"""
_NEXT = f"""
WITH page AS MATERIALIZED (
    SELECT *, transfer_id <= max(transfer_id) FILTER (WHERE created_at < $3) OVER () AS is_of_day
    FROM (SELECT * {_BETWEEN} ORDER BY transfer_id LIMIT $4) t
)
SELECT max(transfer_id) AS last_transfer_id, count(*)::int AS transfer_count,
       coalesce(string_agg({_HASH}, ''::bytea ORDER BY transfer_id), ''::bytea) AS hashes
FROM page WHERE is_of_day"""  # noqa: S608 - words of our own
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
_LAST = """
SELECT link, day, after_transfer_id, last_transfer_id, transfer_count, marks, sha256
FROM ledger_links ORDER BY link DESC LIMIT 1"""
_TODAY = "SELECT ((clock_timestamp() - make_interval(secs => $1)) AT TIME ZONE 'UTC')::date"
_INSERT = """
INSERT INTO ledger_links (link, day, after_transfer_id, last_transfer_id, transfer_count, marks,
    sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7)"""


@dataclass(frozen=True, slots=True)
class LedgerLink:
    """A link of the chain. It covers the transfers above `after_transfer_id`, up to its last."""

    link: int
    day: date
    after_transfer_id: int
    last_transfer_id: int
    transfer_count: int
    marks: bytes
    sha256: bytes


def _sealed(before: bytes, day: date, hashes: bytes) -> bytes:
    return hashlib.sha256(before + day.isoformat().encode() + hashes).digest()


def _marks(hashes: bytes) -> bytes:
    return b"".join(
        hashes[start : start + MARK_BYTES] for start in range(0, len(hashes), _HASH_BYTES)
    )


async def last(connection: Connection) -> LedgerLink | None:
    """The newest link: whoever keeps its hash elsewhere can tell whether anything before it was
    changed."""
    row = await connection.fetchrow(_LAST)
    return None if row is None else LedgerLink(*row)


async def close_next(connection: Connection, *, settle_seconds: float = SETTLE_SECONDS) -> bool:
    """Make the next link of a day that has ended, in the caller's transaction; whether there may be
    more to make. Of several who try at once one does it."""
    if not await connection.fetchval(_TRY_LOCK, _LOCK_KEY):
        return False
    today = await connection.fetchval(_TODAY, settle_seconds)
    before = await last(connection)
    day = await _first_day(connection) if before is None else before.day
    if day is None or day >= today:
        return False
    if not await _make(connection, before, day):
        # That day is closed: the next one has its first link, be it of nothing.
        day += timedelta(days=1)
        if day >= today:
            return False
        await _make(connection, before, day, may_be_empty=True)
    return True


async def _first_day(connection: Connection) -> date | None:
    """The day of the first transfer."""
    day: date | None = await connection.fetchval(_FIRST_DAY, 0, await _reach(connection, 0))
    return day


async def _reach(connection: Connection, after_id: int) -> int:
    """A number up to which there is a transfer above `after_id`, if there is any: PAGE_COUNT
    further, and twice as far wherever all numbers went to transactions that came to nothing."""
    newest = await connection.fetchval(_NEWEST)
    reach = after_id + PAGE_COUNT
    while reach < newest and not await connection.fetchval(_IS_THERE, after_id, reach):
        reach += reach - after_id
    return reach


async def _make(
    connection: Connection,
    before: LedgerLink | None,
    day: date,
    *,
    may_be_empty: bool = False,
) -> bool:
    ends_at = datetime.combine(day + timedelta(days=1), time(), UTC)
    after_id = 0 if before is None else before.last_transfer_id
    ((last_id, transfer_count, hashes),) = await connection.fetch(
        _NEXT, after_id, await _reach(connection, after_id), ends_at, PAGE_COUNT
    )
    if not (transfer_count or may_be_empty):
        return False
    await connection.execute(
        _INSERT,
        1 if before is None else before.link + 1,
        day,
        after_id,
        last_id or after_id,
        transfer_count,
        _marks(hashes),
        _sealed(_GENESIS if before is None else before.sha256, day, hashes),
    )
    return True


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The first link that does not fit, and the first transfer in it that does not: None where the
    link itself was changed."""

    link: int
    day: date
    transfer_id: int | None
    fault: str


_PAGE_OF_LINKS = """
SELECT link, day, after_transfer_id, last_transfer_id, transfer_count, marks, sha256
FROM ledger_links WHERE link > $1 ORDER BY link LIMIT 16"""
_HASHES = f"""
SELECT coalesce(array_agg(transfer_id ORDER BY transfer_id), '{{}}') AS ids,
       coalesce(string_agg({_HASH}, ''::bytea ORDER BY transfer_id), ''::bytea) AS hashes
{_BETWEEN}"""


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the chain was gone through, and what breaks it."""

    link_count: int
    transfer_count: int
    head: LedgerLink | None
    broken: BrokenLink | None


async def verify(connection: Connection, until: int | None = None) -> Verified:
    """Go through the chain from its beginning, or up to a link, and stop at what does not fit."""
    before: LedgerLink | None = None
    transfer_count = 0
    while rows := await connection.fetch(_PAGE_OF_LINKS, before.link if before else 0):
        for row in rows:
            link = LedgerLink(*row)
            if until is not None and link.link > until:
                return Verified(before.link if before else 0, transfer_count, before, None)
            broken = await _broken(connection, before, link)
            if broken is not None:
                return Verified(before.link if before else 0, transfer_count, before, broken)
            transfer_count += link.transfer_count
            before = link
    return Verified(before.link if before else 0, transfer_count, before, None)


async def _broken(
    connection: Connection, before: LedgerLink | None, link: LedgerLink
) -> BrokenLink | None:
    number, after_id, sha256 = (
        (0, 0, _GENESIS)
        if before is None
        else (before.link, before.last_transfer_id, before.sha256)
    )
    if link.link != number + 1 or link.after_transfer_id != after_id:
        return BrokenLink(number + 1, link.day, None, "a link is missing")
    ((ids, hashes),) = await connection.fetch(
        _HASHES, link.after_transfer_id, link.last_transfer_id
    )
    if _sealed(sha256, link.day, hashes) == link.sha256 and len(ids) == link.transfer_count:
        return None
    for transfer_id, fault in _misfits(ids, _marks(hashes), link.marks):
        return BrokenLink(link.link, link.day, transfer_id, fault)
    return BrokenLink(link.link, link.day, None, "the link itself was changed")


def _misfits(ids: list[int], now: bytes, then: bytes) -> Iterator[tuple[int, str]]:
    """The first transfer whose mark is not what it was."""

    def mark(marks: bytes, place: int) -> bytes:
        return marks[place * MARK_BYTES : (place + 1) * MARK_BYTES]

    for place, transfer_id in enumerate(ids):
        if mark(now, place) == mark(then, place):
            continue
        if mark(now, place) == mark(then, place + 1):
            yield transfer_id, "a transfer before this one was taken out"
        elif mark(now, place + 1) == mark(then, place):
            yield transfer_id, "this transfer was put in"
        else:
            yield transfer_id, "this transfer was changed"
        return
    if len(now) < len(then):
        yield (ids[-1] if ids else 0), "a transfer after this one was taken out"
