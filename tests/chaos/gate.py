"""A gate before PostgreSQL that swallows the answers to commits: done, and nobody was told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 64 * 1024
COMMITTED = b"COMMIT\0"
SELECTED = b"SELECT "
"""How PostgreSQL says that a transaction, or a statement that is one, has ended well."""
_PARSED = re.compile(rb"(__asyncpg_stmt_\w+__)\0")


class Gate:
    """Passes bytes both ways until a statement with these `words` has been run and what PostgreSQL
    says next is `end`: then the connection is cut and the answer lost. It does so `budget` times in
    all."""

    def __init__(self, url: str, words: bytes, end: bytes, budget: int) -> None:
        self._target = urlsplit(url)
        self._words = words
        self._end = end
        self._budget = budget
        self._server: asyncio.Server | None = None
        self.url = ""
        self.swallowed_count = 0

    async def open(self) -> None:
        """Listen on a free port; `url` is then the way through the gate."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        login = self._target.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._target._replace(netloc=f"{login}@127.0.0.1:{port}"))

    async def close(self) -> None:
        """Let nobody in any more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = str(self._target.hostname), self._target.port
        to_server: asyncio.StreamWriter | None = None
        try:
            from_server, to_server = await asyncio.open_connection(host, port)
            said = asyncio.Event()
            up = asyncio.create_task(self._listen(reader, to_server, said))
            down = asyncio.create_task(self._answer(from_server, writer, said))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            if to_server is not None:
                to_server.transport.abort()

    async def _listen(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: asyncio.Event
    ) -> None:
        prepared = b""
        while chunk := await reader.read(CHUNK_BYTES):
            place = chunk.find(self._words)
            if place >= 0:
                # It is named when it is first said, and afterwards called by that name.
                *_, prepared = _PARSED.findall(chunk[:place])
            elif prepared and prepared + b"\0" in chunk:
                said.set()
            writer.write(chunk)
            await writer.drain()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: asyncio.Event
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._end in chunk and said.is_set() and self.swallowed_count < self._budget:
                self.swallowed_count += 1
                return
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def gate(url: str, words: bytes, end: bytes, budget: int) -> AsyncIterator[Gate]:
    """An open gate before the database at `url`."""
    opened = Gate(url, words, end, budget)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()
