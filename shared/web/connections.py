"""Clients' connections: how many are kept, and how long each may take over a request's head."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, NamedTuple

import prometheus_client
import structlog
from aiohttp import web

from shared.web import addresses, problems

_log = structlog.get_logger()

TURN_SECONDS = 0.5
"""How often heads that are overdue are looked for."""

OPEN = prometheus_client.Gauge("sluice_web_connections", "Open connections of HTTP clients.")
CLOSED = prometheus_client.Counter(
    "sluice_web_connections_closed",
    "Connections closed on clients, by why: full, address (too many of one), slow_head, evicted.",
    ["reason"],
)


class Caps(NamedTuple):
    """The bounds of a port. `proxies` may hold more connections than others."""

    connections: int = 2_000
    per_address: int = 1_000
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    proxies: addresses.Proxies = addresses.Proxies(())


class Gate:
    """Which connections a process keeps, and which of them owe it the head of a request."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._of_address: Counter[str] = Counter()
        # In the order in which their heads are due, for all have the same time.
        self._owing: dict[Connection, float] = {}
        self._turn = self._loop.call_later(TURN_SECONDS, self._close_overdue)

    def admit(self, connection: Connection, caller: str) -> bool:
        """Whether the new connection may stay; if it may, it owes a head and must be forgotten."""
        if self._of_address[caller] >= self._caps.per_address:
            CLOSED.labels("address").inc()
            return False
        if self._count >= self._caps.connections:
            oldest = next(iter(self._owing), None)
            if oldest is None:
                CLOSED.labels("full").inc()
                return False
            self._close(oldest, "evicted")
        self._count += 1
        OPEN.inc()
        if caller:
            self._of_address[caller] += 1
        self.owes(connection)
        return True

    def owes(self, connection: Connection) -> None:
        """The head of a request has begun to come, or should."""
        self._owing[connection] = self._loop.time() + self._caps.head_seconds

    def paid(self, connection: Connection) -> None:
        """The head has come."""
        self._owing.pop(connection, None)

    def forget(self, connection: Connection, caller: str) -> None:
        """The connection is gone."""
        self._count -= 1
        OPEN.dec()
        self._owing.pop(connection, None)
        if self._of_address[caller] > 1:
            self._of_address[caller] -= 1
        else:
            del self._of_address[caller]

    def _close_overdue(self) -> None:
        now = self._loop.time()
        while self._owing and self._owing[oldest := next(iter(self._owing))] <= now:
            self._close(oldest, "slow_head")
        self._turn = self._loop.call_later(TURN_SECONDS, self._close_overdue)

    def _close(self, connection: Connection, reason: str) -> None:
        CLOSED.labels(reason).inc()
        del self._owing[connection]
        connection.force_close()

    def stop(self) -> None:
        """Look no more."""
        self._turn.cancel()


class Connection(web.RequestHandler):
    """A client's connection, which tells the gate when a head is owed."""

    __slots__ = ("_admitted", "_caller", "_gate", "_owes", "_proxies")

    def __init__(self, gate: Gate, proxies: addresses.Proxies, *of: Any, **options: Any) -> None:
        super().__init__(*of, **options)
        self._gate = gate
        self._proxies = proxies
        self._caller = ""
        self._admitted = False
        self._owes = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = (transport.get_extra_info("peername") or ("",))[0]
        self._caller = "" if self._proxies.trust(peer) else addresses.caller(peer)
        self._admitted = self._gate.admit(self, self._caller)
        if self._admitted:
            super().connection_made(transport)
        elif isinstance(transport, asyncio.Transport):
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._admitted:
            self._admitted = False
            self._gate.forget(self, self._caller)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Between two requests, or before the first, and what came is not a whole head.
        owes = not self._messages and (self._waiter is not None or not self._request_count)
        if owes is not self._owes:
            self._owes = owes
            if owes:
                self._gate.owes(self)
            else:
                self._gate.paid(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's name
    ) -> web.StreamResponse:
        """What is no HTTP, answered without a word of it, and without it in the log."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        if status < 500:
            problem = problems.of(status, "bad_request", "This is not a request of HTTP/1.1.")
        else:
            _log.error("request_failed", error=type(exc).__name__)
            problem = problems.of(status, "internal_error", "Something went wrong on our side.")
        response = problems.response(problem, {"Server": "sluice"})
        response.force_close()
        return response
