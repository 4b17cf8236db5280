"""`sluice ingest`, from its settings to its end, in the order things start."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated

import asyncpg
import structlog
from aiohttp import web
from msgspec import Meta

from services.ingest.accept import Acceptor
from services.ingest.native import routes
from services.ingest.relay import FAULTS, Relay
from services.ingest.web import auth, bodies
from shared.broker import link, publish, topology
from shared.db import idempotency, lost_queues, pool, watch
from shared.limits import door
from shared.runtime import health, lifecycle, redis_link, settings

_log = structlog.get_logger()

FORGET_KEYS_SECONDS = 60.0


class Settings(settings.Servers, frozen=True, kw_only=True):
    """What ingest reads from the environment."""

    redis_url: settings.RedisUrl
    secret_key: settings.SecretKey
    ingest_host: settings.Host = "127.0.0.1"
    ingest_port: Annotated[
        int,
        Meta(
            description="Where the HTTP API listens; processes may share it; 0: any free one.",
            ge=0,
            le=65_535,
        ),
    ] = 8080
    ingest_pool: settings.Connections = 12


def main() -> int:
    """Run until told to stop; the exit status."""
    chosen = settings.load(Settings)
    return lifecycle.run("ingest", lambda stop: serve(chosen, stop))


async def serve(chosen: Settings, stop: asyncio.Event) -> None:
    """Accept requests until `stop`, then finish those that were taken in."""
    async with AsyncExitStack() as stack:
        database = await pool.open_pool(chosen.database_url, "ingest", chosen.ingest_pool)
        stack.push_async_callback(pool.close_pool, database)
        configured = await watch.Watch.start(database)
        redis = redis_link.connect(chosen.redis_url)
        stack.push_async_callback(redis.aclose)

        publisher = publish.Publisher(
            chosen.amqp_url,
            "ingest",
            lambda: _queues(configured),
            partial(lost_queues.republish_all, database),
        )
        await stack.enter_async_context(link.supervised(publisher.link))
        relay = Relay(database, configured, publisher)
        stack.push_async_callback(relay.drain)
        acceptor = Acceptor(database, relay)
        stack.push_async_callback(acceptor.drain)

        for name, work in (
            ("relay", relay.run()),
            ("configuration", configured.run()),
            ("keys", lifecycle.every(FORGET_KEYS_SECONDS, partial(_forget, database), FAULTS)),
        ):
            await stack.enter_async_context(lifecycle.background(name, work, stop))

        app = web.Application(client_max_size=bodies.BATCH_SIZE_MAX)
        health.add_routes(app, lambda: None)
        routes.add_routes(
            app,
            routes.Context(
                pool=database,
                watch=configured,
                acceptor=acceptor,
                authenticator=auth.Authenticator(database, chosen.secret_key),
                door=door.Door(redis),
                secret_key=chosen.secret_key,
            ),
        )
        port = await stack.enter_async_context(
            health.listening(app, chosen.ingest_host, chosen.ingest_port)
        )
        _log.info("accepting", port=port)
        await stop.wait()


def _queues(configured: watch.Watch) -> list[str]:
    """Every queue the relay may publish to."""
    carriers = configured.current.carriers.values()
    return [queue for carrier in carriers for queue in topology.mt_queues(carrier.name)]


async def _forget(database: asyncpg.Pool) -> None:
    async with database.acquire(timeout=5) as opened:
        await idempotency.forget_old(opened)
