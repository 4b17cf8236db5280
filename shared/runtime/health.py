"""`/health/live`, `/health/ready` and `/metrics` of a process that has no other HTTP face."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import prometheus_client
from aiohttp import web

KEEP_ALIVE_SECONDS = 75.0

Readiness = Callable[[], str | None]
"""None when ready, else one sentence saying what is missing."""


def add_routes(app: web.Application, readiness: Readiness) -> None:
    """Give an application the three paths."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        missing = readiness()
        if missing is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "detail": missing}, status=503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=prometheus_client.generate_latest(),
            headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)


@asynccontextmanager
async def serve(port: int, readiness: Readiness, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """Serve the three paths on `port` while the body runs; port 0 serves nothing."""
    if port == 0:
        yield
        return
    app = web.Application()
    add_routes(app, readiness)
    async with listening(app, host, port):
        yield


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, stop_seconds: float = 5.0
) -> AsyncIterator[int]:
    """Serve an application while the body runs, on every process's shared port; yields the port."""
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=stop_seconds,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, reuse_port=True, backlog=1024)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
