"""The client's end: connects to an SMSC and binds."""

import asyncio
import ssl

from shared.smpp import codes, life, pdu, session


class BindRefused(Exception):
    """The SMSC answered the bind with this command_status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"bind refused, command_status 0x{status:08X}")
        self.status = status


async def open_esme(
    host: str,
    port: int,
    request: pdu.BindRequest,
    *,
    window: int,
    on_request: session.OnRequest,
    on_closed: session.OnSession,
    on_answer: session.OnAnswer | None = None,
    timers: life.Timers | None = None,
    tls: ssl.SSLContext | None = None,
    max_open_requests: int = session.MAX_OPEN_REQUESTS,
) -> session.Session:
    """A bound session, at most `window` requests of which are ever unanswered.

    Raises BindRefused, OSError or TimeoutError; the connection is closed then. `on_closed` is also
    called for a session that never got bound.
    """
    chosen = timers or life.Timers()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(chosen.connect_seconds):
        _, opened = await loop.create_connection(
            lambda: session.Session(
                window_size=window,
                timers=chosen,
                on_request=on_request,
                on_closed=on_closed,
                on_answer=on_answer,
                max_open_requests=max_open_requests,
            ),
            host,
            port,
            ssl=tls,
        )
    status = await opened.bind(request)
    if status != codes.ESME_ROK:
        await opened.wait_closed()
        raise BindRefused(status)
    return opened
