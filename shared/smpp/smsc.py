"""The server's end: accepts connections and lets ESMEs bind."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

from shared.smpp import life, session, terms


class Server:
    """A listening SMSC; its sessions are ordinary sessions in the SMSC's role."""

    def __init__(self, agreed: terms.Terms, handlers: session.Handlers) -> None:
        self._terms = agreed
        self._on_closed = handlers.on_closed
        self._connected: set[session.Session] = set()
        self._handlers = replace(handlers, on_opened=self._connected.add, on_closed=self._part)
        self._listener: asyncio.Server | None = None
        self.port = 0

    @property
    def sessions(self) -> frozenset[session.Session]:
        """The sessions that are bound now."""
        return frozenset(each for each in self._connected if each.state is life.State.BOUND)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Port 0 takes a free one; `port` says which. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._welcome, host, port, ssl=tls)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self, deadline_seconds: float = 0.0) -> None:
        """Stop listening and end every session: cut, or unbound politely if given time."""
        if self._listener is not None:
            self._listener.close()
        ending = list(self._connected)
        if deadline_seconds > 0:
            await asyncio.gather(*(each.unbind(deadline_seconds) for each in ending))
        for each in ending:
            each.abort()
            await each.wait_closed()

    def _welcome(self) -> session.Session:
        return session.Session(self._terms, self._handlers)

    def _part(self, parted: session.Session) -> None:
        self._connected.discard(parted)
        self._on_closed(parted)


async def serve(
    host: str,
    port: int,
    agreed: terms.Terms,
    handlers: session.Handlers,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """A listening server; its handlers must authenticate. `on_closed` is also called for
    connections that never got bound. Raises OSError."""
    server = Server(agreed, handlers)
    await server.listen(host, port, tls)
    return server
