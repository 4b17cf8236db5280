"""Exports are written piece by piece: whoever dies is followed by another, nothing twice."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.dlr.exports import ExportWriter
from shared.db import export_rows, exports, messages, watch
from shared.db.connection import Connection
from shared.db.exports import ExportKind, ExportOrder, StoredExport
from shared.db.tabular import FileFormat
from tests.drafts import draft
from tests.integration.audit import books

COUNT = 107


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_rows, "LOOK_COUNT", 10)


@pytest.fixture
async def ordered(services: asyncpg.Pool, written: books.Books) -> AsyncIterator[StoredExport]:
    """An export of more than a hundred messages of the first account, in JSON lines."""
    async with services.acquire() as opened:
        new = [draft(7, 1, 1, account_id=1, reference=f"r{n}") for n in range(COUNT)]
        await messages.insert(opened, new)
        yield await order(opened)


async def order(opened: Connection, account_id: int = 1) -> StoredExport:
    now = datetime.now(UTC)
    wanted = ExportOrder(
        ExportKind.MESSAGES,
        FileFormat.JSONL,
        now - timedelta(days=1),
        now + timedelta(minutes=1),
    )
    async with opened.transaction():
        return await exports.request(opened, account_id, wanted)


async def writer(services: asyncpg.Pool) -> ExportWriter:
    return ExportWriter(services, await watch.Watch.start(services))


async def content(services: asyncpg.Pool, export: StoredExport) -> list[str]:
    """The lines of the file."""
    async with services.acquire() as opened:
        found = await exports.find(opened, export.account_id, export.export_id)
        assert found is not None
        assert found.state == "completed"
        pieces = [
            await exports.piece(opened, found.export_id, number)
            for number in range(found.piece_count)
        ]
    text = b"".join(gzip.decompress(piece or b"") for piece in pieces)
    assert len(text) == found.byte_count
    lines = text.decode().splitlines()
    assert len(lines) == found.row_count
    return lines


async def test_a_worker_that_dies_is_followed_by_another_and_no_line_is_there_twice(
    owner: asyncpg.Connection, services: asyncpg.Pool, ordered: StoredExport
) -> None:
    # Given a worker that has written three pieces
    first, second = await writer(services), await writer(services)
    async with services.acquire() as opened:
        leased = await exports.take(opened, first.worker_id)
    for _ in range(3):
        assert leased is not None
        leased = await first._write_piece(leased)
    assert leased is not None
    assert (leased.state, leased.row_count) == ("in_progress", 30)
    assert 0 <= leased.progress < 100
    # When it dies, nobody else takes it over while its lease lasts; then another does
    assert not await second.write_slice()
    await owner.execute("UPDATE exports SET leased_until = now() - interval '1 second'")
    await second.write_all()
    # And the first, if it was only slow, stores nothing more
    assert await first._write_piece(leased) is None
    # Then all are in the file, each once
    lines = await content(services, ordered)
    assert len(set(lines)) == len(lines) == COUNT + 7


async def test_an_export_that_is_deleted_while_it_is_written_leaves_nothing(
    owner: asyncpg.Connection, services: asyncpg.Pool, ordered: StoredExport
) -> None:
    worker = await writer(services)
    async with services.acquire() as opened:
        leased = await exports.take(opened, worker.worker_id)
        assert leased is not None
        leased = await worker._write_piece(leased)
        assert leased is not None
        assert await exports.delete(opened, 1, ordered.export_id)
    assert await worker._write_piece(leased) is None
    assert await owner.fetchval("SELECT count(*) FROM export_pieces") == 0


async def test_accounts_take_turns(
    services: asyncpg.Pool, ordered: StoredExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an account with three exports and another with one, and slices of a piece
    monkeypatch.setattr("services.dlr.exports.SLICE_SECONDS", 1e-9)
    async with services.acquire() as opened:
        others = [await order(opened), await order(opened)]
        short = await order(opened, 2)
    worker = await writer(services)
    # When each has had a turn
    for _ in range(4):
        await worker.write_slice()
    # Then the small one is done, and the large ones go on
    async with services.acquire() as opened:
        done = await exports.find(opened, 2, short.export_id)
        assert done is not None
        large = [await exports.find(opened, 1, each.export_id) for each in (ordered, *others)]
    assert done.state == "completed"
    assert [each is not None and each.row_count for each in large] == [10, 10, 10]
    await worker.write_all()
    assert len(await content(services, ordered)) == COUNT + 7
    assert len(await content(services, short)) == 0


async def test_what_cannot_be_written_again_and_again_ends_as_an_error(
    owner: asyncpg.Connection, services: asyncpg.Pool, ordered: StoredExport
) -> None:
    worker = await writer(services)
    for _ in range(exports.TRY_COUNT_MAX):
        async with services.acquire() as opened:
            assert await exports.take(opened, worker.worker_id) is not None
        await owner.execute("UPDATE exports SET leased_until = now() - interval '1 second'")
    async with services.acquire() as opened:
        assert await exports.take(opened, worker.worker_id) is None
        found = await exports.find(opened, 1, ordered.export_id)
    assert found is not None
    assert found.state == "error"


async def test_files_go_when_their_time_is_over(
    owner: asyncpg.Connection, services: asyncpg.Pool, ordered: StoredExport
) -> None:
    await (await writer(services)).write_all()
    await owner.execute("UPDATE exports SET expires_at = now() - interval '1 second'")
    async with services.acquire() as opened:
        assert await exports.find(opened, 1, ordered.export_id) is None
        assert await exports.of_ticket(opened, ordered.export_id) is None
    await exports.forget(services)
    assert await owner.fetchval("SELECT count(*) FROM export_pieces") == 0
    assert await owner.fetchval("SELECT count(*) FROM exports") == 0


async def test_lines_in_api_mode_keep_their_messages(
    services: asyncpg.Pool, ordered: StoredExport
) -> None:
    async with services.acquire() as opened:
        found = await export_rows.of_messages(opened, ordered, ["Sluice"])
    assert (found.row_count, found.text) == (0, "")
    assert found.read_until != uuid.UUID(int=0)
