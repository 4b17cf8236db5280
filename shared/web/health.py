"""`/health/live` and `/health/ready` of every process, and `/metrics` on the operator's port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import prometheus_client
from aiohttp import web

from shared.web import server

Readiness = Callable[[], str | None]
"""None when ready, else one sentence saying what is missing."""


def add_routes(app: web.Application, readiness: Readiness) -> None:
    """Give an application the two paths that may be public."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        missing = readiness()
        if missing is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "detail": missing}, status=503)

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(
        body=prometheus_client.generate_latest(),
        headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
    )


@asynccontextmanager
async def serve(port: int, readiness: Readiness, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """Serve the operator's port while the body runs; port 0 serves nothing."""
    if port == 0:
        yield
        return
    app = web.Application()
    add_routes(app, readiness)
    app.router.add_get("/metrics", _metrics)
    async with server.listening(app, host, port):
        yield
