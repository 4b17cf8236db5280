"""The client's end: connects to an SMSC and binds."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from shared.smpp import codes, pdu, session, terms


@dataclass(frozen=True, slots=True)
class Destination:
    """An SMSC's address, and as whom to bind there."""

    host: str
    port: int
    request: pdu.BindRequest
    tls: ssl.SSLContext | None = None


class BindRefused(Exception):
    """The SMSC answered the bind with this command_status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"bind refused, command_status 0x{status:08X}")
        self.status = status


async def open_esme(
    destination: Destination, agreed: terms.Terms, handlers: session.Handlers
) -> session.Session:
    """A bound session. Raises BindRefused, OSError or TimeoutError; the connection is closed then.
    `on_closed` is also called for a session that never got bound."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(agreed.timers.connect_seconds):
        _, opened = await loop.create_connection(
            lambda: session.Session(agreed, handlers),
            destination.host,
            destination.port,
            ssl=destination.tls,
        )
    status = await opened.bind(destination.request)
    if status != codes.ESME_ROK:
        await opened.wait_closed()
        raise BindRefused(status)
    return opened
