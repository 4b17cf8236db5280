"""The client's end: connects to an SMSC and binds."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from shared.smpp import codes, pdu, session, terms


@dataclass(frozen=True, slots=True)
class Destination:
    """An SMSC's address, and as whom to bind there.

    `fallbacks` are further hosts and ports of the same account, tried in their order where those
    before them cannot be reached or do not let us in. `server_name` is the name a certificate must
    have where it is not the host's.
    """

    host: str
    port: int
    request: pdu.BindRequest
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    fallbacks: tuple[tuple[str, int], ...] = ()


class BindRefused(Exception):
    """The SMSC answered the bind with this command_status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"bind refused, command_status 0x{status:08X}")
        self.status = status


async def open_esme(
    destination: Destination, agreed: terms.Terms, handlers: session.Handlers
) -> session.Session:
    """A bound session. Raises BindRefused, OSError or TimeoutError, of the first address; the
    connection is closed then. `on_closed` is also called for a session that never got bound."""
    try:
        return await _open(destination, destination.host, destination.port, agreed, handlers)
    except (BindRefused, OSError, TimeoutError) as error:
        first = error
    for host, port in destination.fallbacks:
        try:
            return await _open(destination, host, port, agreed, handlers)
        except (BindRefused, OSError, TimeoutError):
            continue
    raise first


async def _open(
    destination: Destination,
    host: str,
    port: int,
    agreed: terms.Terms,
    handlers: session.Handlers,
) -> session.Session:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(agreed.timers.connect_seconds):
        _, opened = await loop.create_connection(
            lambda: session.Session(agreed, handlers),
            host,
            port,
            ssl=destination.tls,
            server_hostname=None if destination.tls is None else destination.server_name or host,
        )
    status = await opened.bind(destination.request)
    if status != codes.ESME_ROK:
        await opened.wait_closed()
        raise BindRefused(status)
    return opened
