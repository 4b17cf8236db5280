"""The house's web server: aiohttp's, with bounds on what a stranger may hold open."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

import structlog
from aiohttp import web
from msgspec import Meta

from shared.runtime import exits, settings
from shared.web import addresses, connections

_log = structlog.get_logger()

LINGER_SECONDS = 3.0
"""So long the rest of a body nobody wants is read and dropped, lest its sender miss the answer."""
READ_BUFFER_BYTES = 16 * 1024
"""Of a body that nobody has asked for yet, twice so much is read."""
OWN_FILES_COUNT = 100
"""Files a process needs beside its connections: servers, logs, modules."""


class Settings(settings.Servers, frozen=True, kw_only=True):
    """What a service with a public port reads."""

    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks of proxies whose X-Forwarded-For is believed; what others say"
            " there is not read.",
            examples=["10.0.0.0/8,fd00::/8"],
        ),
    ] = ()
    connections_max: Annotated[
        int,
        Meta(
            description="Connections of clients a process keeps open; of further ones, those that"
            " have waited longest for a request's head make room, else the new one is closed.",
            ge=1,
            le=100_000,
            extra={"unit": "connections"},
        ),
    ] = 2_000
    address_connections_max: Annotated[
        int,
        Meta(
            description="Of these, how many one address (IPv6: one /64) may have; trusted proxies"
            " are not counted.",
            ge=1,
            le=100_000,
            extra={"unit": "connections"},
        ),
    ] = 1_000
    head_seconds: Annotated[
        float,
        Meta(description="How long the head of a request may take.", gt=0, le=300),
    ] = 10.0
    idle_seconds: Annotated[
        float,
        Meta(
            description="How long a connection is kept between two requests. Longer than the proxy"
            " in front keeps it, lest that send into a closed one.",
            gt=0,
            le=3_600,
        ),
    ] = 75.0

    def __post_init__(self) -> None:
        try:
            addresses.Proxies(self.trusted_proxies)
        except ValueError:
            raise ValueError("SLUICE_TRUSTED_PROXIES: expected networks as 10.0.0.0/8") from None


def caps_of(chosen: Settings) -> connections.Caps:
    """The bounds that are set, but no more connections than the process may have files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(chosen.connections_max, max(1, files - OWN_FILES_COUNT))
    if count < chosen.connections_max:
        _log.warning("fewer_connections", count=count, why=f"{files} open files are allowed")
    return connections.Caps(
        count,
        chosen.address_connections_max,
        chosen.head_seconds,
        chosen.idle_seconds,
        addresses.Proxies(chosen.trusted_proxies),
    )


async def _unsigned(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """No word on which program of which version this is."""
    response.headers.popall("Server", None)


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    caps: connections.Caps | None = None,
    *,
    stop_seconds: float = 5.0,
) -> AsyncIterator[int]:
    """Serve an application while the body runs, on every process's shared port; yields the port.
    Raises NotDone when it cannot be had."""
    chosen = caps or connections.Caps()
    app.on_response_prepare.append(_unsigned)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=stop_seconds)
    await runner.setup()
    loop = asyncio.get_running_loop()
    gate = connections.Gate(chosen)
    connection = partial(
        connections.Connection,
        gate,
        chosen.proxies,
        runner.server,
        loop=loop,
        access_log=None,
        keepalive_timeout=chosen.idle_seconds,
        lingering_time=LINGER_SECONDS,
        read_bufsize=READ_BUFFER_BYTES,
        auto_decompress=False,
    )
    try:
        try:
            listener = await loop.create_server(
                connection, host, port, reuse_port=True, backlog=1024
            )
        except OSError as error:
            raise exits.cannot_listen(host, port, error) from None
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
    finally:
        await runner.cleanup()
        gate.stop()
