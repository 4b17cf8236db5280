"""The server's end: accepts connections and lets ESMEs bind."""

import asyncio

from shared.smpp import life, session


class Server:
    """A listening SMSC; its sessions are ordinary sessions in the SMSC's role."""

    def __init__(
        self,
        *,
        authenticate: session.Authenticate,
        on_request: session.OnRequest,
        on_bound: session.OnSession,
        on_closed: session.OnSession,
        window: int,
        timers: life.Timers,
        system_id: str,
    ) -> None:
        self._authenticate = authenticate
        self._on_request = on_request
        self._on_bound = on_bound
        self._on_closed = on_closed
        self._window = window
        self._timers = timers
        self._system_id = system_id
        self._connected: set[session.Session] = set()
        self._listener: asyncio.Server | None = None
        self.port = 0

    @property
    def sessions(self) -> frozenset[session.Session]:
        """The sessions that are bound now."""
        return frozenset(each for each in self._connected if each.state is life.State.BOUND)

    async def listen(self, host: str, port: int) -> None:
        """Port 0 takes a free one; `port` says which."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._welcome, host, port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self, deadline_seconds: float = 0.0) -> None:
        """Stops listening and ends every session: cut, or unbound politely if given time."""
        if self._listener is not None:
            self._listener.close()
        ending = list(self._connected)
        if deadline_seconds > 0:
            await asyncio.gather(*(each.unbind(deadline_seconds) for each in ending))
        for each in ending:
            each.abort()
            await each.wait_closed()

    def _welcome(self) -> session.Session:
        welcomed = session.Session(
            window_size=self._window,
            timers=self._timers,
            on_request=self._on_request,
            on_closed=self._part,
            authenticate=self._authenticate,
            on_bound=self._on_bound,
            system_id=self._system_id,
        )
        self._connected.add(welcomed)
        return welcomed

    def _part(self, parted: session.Session) -> None:
        self._connected.discard(parted)
        self._on_closed(parted)


async def serve(
    host: str,
    port: int,
    *,
    authenticate: session.Authenticate,
    on_request: session.OnRequest,
    on_bound: session.OnSession,
    on_closed: session.OnSession,
    window: int,
    timers: life.Timers | None = None,
    system_id: str = "SMSC",
) -> Server:
    """A listening server. `authenticate` gives the bind's command_status, 0 to let the peer in.

    `on_closed` is also called for connections that never got bound. Raises OSError.
    """
    server = Server(
        authenticate=authenticate,
        on_request=on_request,
        on_bound=on_bound,
        on_closed=on_closed,
        window=window,
        timers=timers or life.Timers(),
        system_id=system_id,
    )
    await server.listen(host, port)
    return server
