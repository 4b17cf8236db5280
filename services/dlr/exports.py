"""Exports are written: a slice of one, then of the next, by whichever worker is free."""

from __future__ import annotations

import asyncio
import gzip
import time
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from shared.db import connection, export_rows, exports, pool, watch
from shared.db.exports import ExportKind, StoredExport
from shared.runtime import ids, lifecycle

LOOK_SECONDS = 1.0
FORGET_SECONDS = 600.0
SLICE_SECONDS = 2.0
"""So long a worker stays with one export before it looks whether another has waited longer."""
COMPRESSION_LEVEL = 4

_log = structlog.get_logger()


async def run(database: asyncpg.Pool, configured: watch.Watch) -> None:
    """Write until cancelled."""
    writer = ExportWriter(database, configured)
    await lifecycle.every(LOOK_SECONDS, writer.write_all, connection.TRANSIENT)


async def forget(database: asyncpg.Pool) -> None:
    """Take away old files, until cancelled."""
    step = partial(exports.forget, database)
    await lifecycle.every(FORGET_SECONDS, step, connection.TRANSIENT)


class ExportWriter:
    """One worker. What it has not stored when it dies, or when it cannot reach the database,
    another writes when its lease is over."""

    def __init__(self, database: asyncpg.Pool, configured: watch.Watch) -> None:
        self._database = database
        self._watch = configured
        self.worker_id: UUID = ids.uuid7()

    async def write_all(self) -> None:
        """Write slices until no export is left to write."""
        while await self.write_slice():
            pass

    async def write_slice(self) -> bool:
        """Write of the export that has waited longest; False if there is none."""
        async with self._database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            leased = await exports.take(opened, self.worker_id)
        if leased is None:
            return False
        try:
            await self._write_on(leased)
        except asyncpg.PostgresError as error:
            # Nothing else waits for this one. It is tried again when its lease is over.
            _log.warning("export_failed", export_id=leased.export_id, error=type(error).__name__)
        return True

    async def _write_on(self, leased: StoredExport) -> None:
        """A piece at least, then as many as there is time for."""
        until = time.monotonic() + SLICE_SECONDS
        stored = await self._write_piece(leased)
        while stored and stored.state == "in_progress" and time.monotonic() < until:
            stored = await self._write_piece(stored)
        if stored is None or stored.state != "in_progress":
            self._tell(leased, stored)
            return
        async with self._database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            await exports.release(opened, self.worker_id, leased.export_id)

    async def _write_piece(self, leased: StoredExport) -> StoredExport | None:
        async with self._database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            lines = await self._read(opened, leased)
        first = "" if leased.piece_count else export_rows.head(leased.order)
        text = (first + lines.text).encode()
        # Beside the loop: compressing lets others run meanwhile.
        octets = await asyncio.to_thread(gzip.compress, text, COMPRESSION_LEVEL, mtime=0)
        written = exports.FilePiece(
            octets, len(text), lines.row_count, lines.read_until, lines.progress, lines.is_last
        )
        async with self._database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
            return await exports.store(opened, self.worker_id, leased, written)

    async def _read(
        self, opened: connection.Connection, leased: StoredExport
    ) -> export_rows.FileLines:
        if leased.kind == ExportKind.STATISTICS:
            return await export_rows.of_statistics(opened, leased)
        hidden = self._watch.current.api_senders.get(leased.account_id, frozenset())
        return await export_rows.of_messages(opened, leased, sorted(hidden))

    def _tell(self, leased: StoredExport, stored: StoredExport | None) -> None:
        outcome = "taken_away" if stored is None else stored.state
        row_count = leased.row_count if stored is None else stored.row_count
        _log.info("export", export_id=leased.export_id, outcome=outcome, row_count=row_count)
