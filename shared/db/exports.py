"""Exports: jobs that write messages or statistics to a file, piece by piece.

A file is rows of `export_pieces`, so any process on any host serves it and the database's backup
has it; it goes after a week. A piece is stored with how far it has come in one transaction, under
a lease: a worker that dies leaves all that it has stored, and another goes on from there.
"""

# ruff: noqa: S608 - what is put into the statements are words of our own

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection
from shared.db.tabular import FileFormat

UNFINISHED_COUNT_MAX = 5
KEPT_COUNT_MAX = 50
KEPT_DAYS = 7
LEASE_SECONDS = 30
TRY_COUNT_MAX = 5
"""Leases in a row that have stored nothing: then it is given up."""


class ExportKind(StrEnum):
    """What is written."""

    MESSAGES = "messages"
    STATISTICS = "statistics"


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What an account wants written: what was accepted from `from_at` on and before `to_at`; None
    does not filter. Of statistics whole days of UTC."""

    kind: ExportKind
    format: FileFormat
    from_at: datetime
    to_at: datetime
    statuses: Sequence[str] | None = None
    country: str | None = None
    message_class: int | None = None


@dataclass(frozen=True, slots=True)
class StoredExport:
    """An export and how far it has come; `progress` is in percent, `byte_count` of the file."""

    export_id: int
    account_id: int
    kind: str
    format: str
    from_at: datetime
    to_at: datetime
    statuses: list[str] | None
    country: str | None
    message_class: int | None
    state: str
    progress: int
    row_count: int
    byte_count: int
    piece_count: int
    read_until: UUID | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime

    @property
    def order(self) -> ExportOrder:
        """What was wanted."""
        return ExportOrder(
            ExportKind(self.kind),
            FileFormat(self.format),
            self.from_at,
            self.to_at,
            self.statuses,
            self.country,
            self.message_class,
        )


_COLUMNS = ", ".join(
    {"message_class": "class"}.get(column.name, column.name) for column in fields(StoredExport)
)


def _read(row: asyncpg.Record | None) -> StoredExport | None:
    return None if row is None else StoredExport(*row)


class TooManyExports(Exception):
    """The account has as many as it may; the text says what to do."""


_TURN = "SELECT pg_advisory_xact_lock(hashtext('exports'), $1)"
_COUNT = """
SELECT count(*) FILTER (WHERE state IN ('pending', 'in_progress')), count(*)
FROM exports WHERE account_id = $1"""
_REQUEST = f"""
INSERT INTO exports (account_id, kind, format, from_at, to_at, statuses, country, class)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_COLUMNS}"""


async def request(connection: Connection, account_id: int, order: ExportOrder) -> StoredExport:
    """Within a transaction: have an export written, by whichever worker comes. Raises
    TooManyExports."""
    await connection.execute(_TURN, account_id)
    ((unfinished_count, count),) = await connection.fetch(_COUNT, account_id)
    if unfinished_count >= UNFINISHED_COUNT_MAX:
        raise TooManyExports(
            f"{UNFINISHED_COUNT_MAX} exports of the account are being written; wait for one."
        )
    if count >= KEPT_COUNT_MAX:
        raise TooManyExports(f"The account keeps {KEPT_COUNT_MAX} exports; delete one.")
    (row,) = await connection.fetch(
        _REQUEST,
        account_id,
        order.kind,
        order.format,
        order.from_at,
        order.to_at,
        order.statuses,
        order.country,
        order.message_class,
    )
    return StoredExport(*row)


_FIND = f"""
SELECT {_COLUMNS} FROM exports WHERE account_id = $1 AND export_id = $2 AND expires_at > now()"""
_OF_TICKET = f"SELECT {_COLUMNS} FROM exports WHERE export_id = $1 AND expires_at > now()"
_LISTED = f"""
SELECT {_COLUMNS} FROM exports WHERE account_id = $1 AND expires_at > now()
ORDER BY export_id DESC LIMIT {KEPT_COUNT_MAX}"""


async def find(connection: Connection, account_id: int, export_id: int) -> StoredExport | None:
    """One export of this account; another account's is None, like one that never was."""
    return _read(await connection.fetchrow(_FIND, account_id, export_id))


async def of_ticket(connection: Connection, export_id: int) -> StoredExport | None:
    """The export that a ticket names, whoever has it: the ticket's seal is the right to it."""
    return _read(await connection.fetchrow(_OF_TICKET, export_id))


async def listed(connection: Connection, account_id: int) -> list[StoredExport]:
    """The account's exports, the newest first."""
    return [StoredExport(*row) for row in await connection.fetch(_LISTED, account_id)]


_DELETE = "DELETE FROM exports WHERE account_id = $1 AND export_id = $2"


async def delete(connection: Connection, account_id: int, export_id: int) -> bool:
    """Cancel it, or take its file away; whoever is writing it notices at the next piece."""
    return bool(await connection.execute(_DELETE, account_id, export_id) == "DELETE 1")


_PIECE = "SELECT octets FROM export_pieces WHERE export_id = $1 AND piece_number = $2"


async def piece(connection: Connection, export_id: int, number: int) -> bytes | None:
    """A piece of a file, as it was stored (gzip); None where it has gone."""
    octets: bytes | None = await connection.fetchval(_PIECE, export_id, number)
    return octets


# Writing ----------------------------------------------------------------------------------------

# The one that has waited longest: so the exports of one account do not hold up another's.
_TAKE = f"""
UPDATE exports SET state = 'in_progress', worker_id = $1, try_count = try_count + 1,
    leased_until = now() + interval '{LEASE_SECONDS} seconds', touched_at = clock_timestamp()
WHERE export_id = (
    SELECT export_id FROM exports
    WHERE state IN ('pending', 'in_progress') AND (leased_until < now() IS NOT FALSE)
      AND expires_at > now()
    ORDER BY touched_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}"""
_GIVE_UP = f"""
UPDATE exports SET state = 'error', leased_until = NULL, finished_at = now()
WHERE state = 'in_progress' AND leased_until < now() IS NOT FALSE
  AND try_count >= {TRY_COUNT_MAX}"""


async def take(connection: Connection, worker_id: UUID) -> StoredExport | None:
    """Lease an export that nobody writes; None if there is none. What could not be written again
    and again ends as an error."""
    await connection.execute(_GIVE_UP)
    return _read(await connection.fetchrow(_TAKE, worker_id))


@dataclass(frozen=True, slots=True)
class FilePiece:
    """A part of a file. `octets` are gzip of `byte_count` bytes; `read_until` is the last message
    that was looked at; `progress` is of the whole, in percent."""

    octets: bytes
    byte_count: int
    row_count: int
    read_until: UUID | None
    progress: int
    is_last: bool


_STORE = f"""
WITH leased AS (
    UPDATE exports SET
        row_count = row_count + $3, byte_count = byte_count + $4, piece_count = piece_count + 1,
        read_until = coalesce($5, read_until), progress = $6, try_count = 0,
        touched_at = clock_timestamp(),
        state = CASE WHEN $7 THEN 'completed' ELSE state END,
        finished_at = CASE WHEN $7 THEN clock_timestamp() END,
        expires_at = CASE WHEN $7 THEN now() + interval '{KEPT_DAYS} days' ELSE expires_at END,
        leased_until = CASE WHEN $7 THEN NULL
                            ELSE clock_timestamp() + interval '{LEASE_SECONDS} seconds' END
    WHERE export_id = $1 AND worker_id = $2 AND state = 'in_progress' AND piece_count = $8
    RETURNING {_COLUMNS}
), piece AS (
    INSERT INTO export_pieces (export_id, piece_number, octets)
    SELECT export_id, piece_count - 1, $9 FROM leased
)
SELECT * FROM leased"""


async def store(
    connection: Connection, worker_id: UUID, leased: StoredExport, written: FilePiece
) -> StoredExport | None:
    """Keep the next piece; None if the export has been canceled or is another worker's by now, and
    then nothing is kept."""
    return _read(
        await connection.fetchrow(
            _STORE,
            leased.export_id,
            worker_id,
            written.row_count,
            written.byte_count,
            written.read_until,
            written.progress,
            written.is_last,
            leased.piece_count,
            written.octets,
        )
    )


_RELEASE = """
UPDATE exports SET leased_until = NULL, try_count = 0
WHERE export_id = $1 AND worker_id = $2 AND state = 'in_progress'"""


async def release(connection: Connection, worker_id: UUID, export_id: int) -> None:
    """Let another go on with it."""
    await connection.execute(_RELEASE, export_id, worker_id)


_FORGET = """
DELETE FROM exports WHERE export_id = ANY (ARRAY(
    SELECT export_id FROM exports WHERE expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED))"""


async def forget(database: asyncpg.Pool) -> None:
    """Take away files whose time is over."""
    await cleaning.by_pages(database, _FORGET, page_count=10)
