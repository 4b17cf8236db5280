"""Files of exports go out piece by piece, to an account or to whoever has a link."""

from __future__ import annotations

import asyncio
import time
import zlib
from datetime import datetime

import asyncpg
import yarl
from aiohttp import web

from services.ingest.web.entrance import Passage, Visit
from shared.access import tickets
from shared.db import connection, exports, tabular
from shared.db.exports import StoredExport
from shared.db.tabular import FileFormat
from shared.web import problems
from shared.web.problems import Refused

PATH = "/v1/export-files/{ticket}"
READ_SECONDS = 5.0
WRITE_SECONDS = 60.0
"""How long a reader may take for a piece of a file."""
_KIND = "export"
_GZIP = 31
"""Of zlib: a gzip of the largest window."""


def link(visit: Visit, export_id: int, until: datetime) -> str:
    """Where a file may be fetched without a token, until then."""
    ticket = tickets.make(visit.context.keys, _KIND, export_id, int(until.timestamp()))
    path = PATH.format(ticket=ticket)
    try:
        base = yarl.URL(visit.context.public_url) or visit.request.url.origin()
    except ValueError:
        # A Host that names no host.
        return path
    return str(base / path.lstrip("/"))


async def export_file(passage: Passage) -> web.StreamResponse:
    """The file that a link is for: its seal says that we have given it out, so nobody asks for a
    token."""
    ticket, context = passage.request.match_info["ticket"], passage.context
    export_id = tickets.read(context.keys, _KIND, ticket, time.time())
    found = None
    if export_id is not None:
        async with asyncio.timeout(READ_SECONDS), context.pool.acquire() as opened:
            found = await exports.of_ticket(opened, export_id)
    if found is None:
        detail = "The link is not good, or no longer."
        raise Refused(problems.of(404, "no_such_file", detail))
    return await send(context.pool, passage.request, found)


async def send(
    database: asyncpg.Pool, request: web.Request, found: StoredExport
) -> web.StreamResponse:
    """Send a file: no more than a piece is in memory, and no connection to the database is held
    while a reader takes it. What goes wrong on the way breaks the answer off, which its length
    tells the reader. Raises Refused for a file that is not there."""
    if found.state != "completed":
        detail = f"The file is not there; its export is {found.state}."
        raise Refused(problems.of(409, "not_completed", detail))
    octets = await _piece(database, found, 0)
    if octets is None:
        raise Refused(problems.of(404, "no_such_file", "The file has just been taken away."))
    response = web.StreamResponse(headers=_headers(found))
    await response.prepare(request)
    try:
        for number in range(1, found.piece_count + 1):
            if octets is None:
                raise ConnectionResetError
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(zlib.decompress(octets, wbits=_GZIP))
            if number < found.piece_count:
                octets = await _piece(database, found, number)
        await response.write_eof()
    except (ConnectionResetError, *connection.UNREACHABLE):
        response.force_close()
        if request.transport is not None:
            request.transport.abort()
    return response


async def _piece(database: asyncpg.Pool, found: StoredExport, number: int) -> bytes | None:
    async with asyncio.timeout(READ_SECONDS), database.acquire() as opened:
        return await exports.piece(opened, found.export_id, number)


def _headers(found: StoredExport) -> dict[str, str]:
    chosen = FileFormat(found.format)
    return {
        "Content-Type": tabular.CONTENT_TYPES[chosen],
        "Content-Length": str(found.byte_count),
        "Content-Disposition": f'attachment; filename="{found.kind}-{found.export_id}.{chosen}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
