"""`sluice webhooks`: its settings, and its parts in the order in which they start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated

import structlog
from msgspec import Meta

from services.webhooks import callbacks, course
from services.webhooks.means import Means
from services.webhooks.pusher import RENEW_SECONDS, LeaseKind, Pusher
from shared.access import keys, seals, vault
from shared.db import connection, line_callbacks, pool, pushes, watch, webhooks
from shared.runtime import lifecycle, settings
from shared.web import egress, health

_log = structlog.get_logger()

FORGET_SECONDS = 600.0
DATABASE_AWAY_SECONDS = 5.0
"""Without a word of the database for so long, nothing can be told."""


class Settings(settings.ServiceVariables, frozen=True, kw_only=True):
    """What a pusher reads from the environment."""

    secret_key: settings.SecretKey
    webhook_pool: settings.Connections = 8
    webhook_requests: Annotated[
        int,
        Meta(
            description="Requests to webhooks that a process may have under way.",
            ge=1,
            le=10_000,
            extra={"unit": "requests"},
        ),
    ] = 500
    webhook_deadline_seconds: Annotated[
        float,
        Meta(description="How long a webhook may take to answer.", gt=0, le=15),
    ] = egress.DEADLINE_SECONDS
    webhook_look_seconds: Annotated[
        float,
        Meta(description="How often new events are looked for.", gt=0, le=60),
    ] = 0.25

    def __post_init__(self) -> None:
        keys.Keys.read(self.secret_key)


def main() -> int:
    """Tell producers' webhooks what happened.

    Example: sluice webhooks
    """
    chosen = settings.load(Settings)
    return lifecycle.run("webhooks", lambda stop: serve(chosen, stop))


@asynccontextmanager
async def serve(chosen: Settings, stop: asyncio.Event) -> AsyncIterator[None]:
    """Push while the body runs, then finish what is under way. A part that dies sets `stop`."""
    async with AsyncExitStack() as stack:
        database = await pool.open_pool(chosen.database_url, "webhooks", chosen.webhook_pool)
        stack.push_async_callback(pool.close_pool, database)
        configured = await watch.Watch.start(database)
        client = egress.GuardedClient(
            lambda: configured.current.egress_allowed,
            deadline_seconds=chosen.webhook_deadline_seconds,
        )
        stack.push_async_callback(client.close)
        caller = egress.GuardedClient(
            lambda: configured.current.egress_allowed,
            deadline_seconds=min(callbacks.DEADLINE_SECONDS, chosen.webhook_deadline_seconds),
        )
        stack.push_async_callback(caller.close)
        platform = keys.Keys.read(chosen.secret_key)
        stops = asyncio.Event()
        requests = asyncio.Semaphore(chosen.webhook_requests)
        means = Means(
            database,
            client,
            vault.Vault(platform),
            seals.Seals(platform),
            configured,
            requests,
            stops.is_set,
        )
        # Lines' URLs have requests of their own, so that slow ones cost webhooks nothing.
        for_lines = replace(
            means, client=caller, requests=asyncio.Semaphore(chosen.webhook_requests)
        )
        await stack.enter_async_context(
            lifecycle.background("configuration", configured.run(), stop)
        )
        forgetting = lifecycle.every(
            FORGET_SECONDS, partial(webhooks.forget_tries, database), connection.TRANSIENT
        )
        await stack.enter_async_context(lifecycle.background("tries", forgetting, stop))
        of_webhooks = LeaseKind(pushes.lease, pushes.renew, partial(course.run, means))
        of_lines = LeaseKind(
            line_callbacks.lease, line_callbacks.renew, partial(callbacks.run, for_lines)
        )
        for name, pusher in (
            ("webhooks", Pusher(database, of_webhooks, stops)),
            ("callbacks", Pusher(database, of_lines, stops)),
        ):
            renewing = lifecycle.every(RENEW_SECONDS, pusher.renew, connection.TRANSIENT)
            await stack.enter_async_context(lifecycle.background(f"renew {name}", renewing, stop))
            # Leases are kept until the last course has ended.
            stack.push_async_callback(pusher.drain)
            looking = lifecycle.every(
                chosen.webhook_look_seconds, pusher.turn, connection.TRANSIENT
            )
            await stack.enter_async_context(lifecycle.background(name, looking, stop))
        missing = partial(_missing, configured)
        await stack.enter_async_context(
            health.serve(chosen.metrics_port, missing, chosen.metrics_host)
        )
        _log.info("pushing")
        yield


def _missing(configured: watch.Watch) -> str | None:
    """What readiness lacks."""
    away = time.monotonic() > configured.read_at_seconds + DATABASE_AWAY_SECONDS
    return "the database does not answer" if away else None
