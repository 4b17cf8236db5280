"""`sluice dlr`: its settings, and its parts in the order in which they start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import structlog
from msgspec import Meta

from services.dlr import (
    callbacks,
    credentials,
    event_numbers,
    exports,
    inbound,
    intake,
    interpreters,
    late,
    message_statistics,
    overdue,
    retention,
    sealed,
)
from shared.access import keys, seals, vault
from shared.broker import consume, link, publish, topology
from shared.carriers import registry
from shared.db import pool, watch
from shared.runtime import lifecycle, settings
from shared.web import addresses, health, server

_log = structlog.get_logger()

DRAIN_SECONDS = 20.0


class Settings(server.Settings, frozen=True, kw_only=True):
    """What dlr reads from the environment."""

    secret_key: settings.SecretKey
    dlr_host: settings.Host = "127.0.0.1"
    dlr_port: Annotated[
        int, Meta(description="Where carriers call back; 0: any free port.", ge=0, le=65_535)
    ] = 8081
    receipt_overdue_every_seconds: Annotated[
        float,
        Meta(description="How often segments past the receipts' deadline are looked for.", gt=0),
    ] = 30.0
    receipt_prefetch: Annotated[
        int,
        Meta(
            description="Deliveries of at most 200 receipts that may be here, not yet applied.",
            ge=1,
            le=65_535,
            extra={"unit": "deliveries"},
        ),
    ] = 64
    receipt_writers: Annotated[
        int,
        Meta(
            description="Batches of receipts that may be applied at the same time.",
            ge=1,
            le=100,
            extra={"unit": "batches"},
        ),
    ] = 1
    inbound_parts_seconds: Annotated[
        float,
        Meta(
            description="So long the parts of an inbound message wait for those that are missing;"
            " then it is handed on without them.",
            gt=0,
            le=86_400,
        ),
    ] = 600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keys.Keys.read(self.secret_key)


def main() -> int:
    """Take the carriers' receipts and tell producers what became of their messages.

    Example: SLUICE_DLR_PORT=8081 sluice dlr
    """
    chosen = settings.load(Settings)
    return lifecycle.run("dlr", lambda stop: serve(chosen, stop))


@asynccontextmanager
async def serve(chosen: Settings, stop: asyncio.Event) -> AsyncIterator[None]:
    """Serve while the body runs: then take no more, finish the batch under way, and close. A part
    that dies sets `stop`."""
    platform = keys.Keys.read(chosen.secret_key)
    registry.use_keys(platform)
    async with AsyncExitStack() as parts:
        database = await pool.open_pool(chosen.database_url, "dlr", chosen.receipt_writers + 6)
        parts.push_async_callback(pool.close_pool, database)
        configured = await watch.Watch.start(database)
        sealing = seals.Seals(platform)
        readers = interpreters.Interpreters(configured)
        receiving = intake.Intake(database, readers, chosen.receipt_prefetch)
        publisher = _publisher(chosen)
        consumer = _consumer(chosen, receiving)
        works: dict[str, Callable[[], Coroutine[None, None, None]]] = {
            "watch": configured.run,
            "late": partial(late.run, database),
            "overdue": partial(overdue.run, database, chosen.receipt_overdue_every_seconds),
            "inbound": partial(inbound.run, database, sealing, chosen.inbound_parts_seconds),
            "inbound-seen": partial(inbound.forget, database),
            "sealed": partial(sealed.run, database, sealing),
            "credentials": partial(credentials.run, database, vault.Vault(platform)),
            "retention": partial(retention.run, database),
            "event-numbers": partial(event_numbers.run, database),
            "statistics": partial(message_statistics.run, database),
            "statistics-of-before": partial(message_statistics.fill, database),
            "exports": partial(exports.run, database, configured),
            "old-exports": partial(exports.forget, database),
            **{f"intake-{number}": receiving.run for number in range(chosen.receipt_writers)},
            "publish": publisher.link.supervise,
            "consume": consumer.link.supervise,
        }
        for name, work in works.items():
            await parts.enter_async_context(lifecycle.background(name, work(), stop))
        keep = partial(inbound.keep, database, sealing)
        proxies = addresses.Proxies(chosen.trusted_proxies)
        app = callbacks.Callbacks(readers, publisher, keep, proxies).application()
        missing = partial(_missing, consumer.link, publisher.link)
        health.add_routes(app, missing)
        await parts.enter_async_context(
            health.serve(chosen.metrics_port, missing, chosen.metrics_host)
        )
        port = await parts.enter_async_context(
            server.listening(app, chosen.dlr_host, chosen.dlr_port, server.caps_of(chosen))
        )
        _log.info("listening", port=port)
        yield
        await consumer.stop()
        await _drain(receiving)


def _publisher(chosen: Settings) -> publish.Publisher:
    return publish.Publisher(chosen.amqp_url, "dlr", lambda: (topology.RECEIPTS,), _note_missing)


def _consumer(chosen: Settings, receiving: intake.Intake) -> consume.Consumer:
    return consume.Consumer(
        chosen.amqp_url,
        "dlr",
        topology.RECEIPTS,
        chosen.receipt_prefetch,
        receiving.take,
        _note_missing,
        receiving.forget,
    )


def _missing(consuming: link.Link, publishing: link.Link) -> str | None:
    """What readiness lacks."""
    if not consuming.up:
        return "no receipts can be taken from the broker"
    return None if publishing.up else "no receipts can be given to the broker"


async def _drain(receiving: intake.Intake) -> None:
    try:
        await asyncio.wait_for(receiving.drain(), DRAIN_SECONDS)
    except TimeoutError:
        # Nothing is lost: what was not acknowledged comes again.
        _log.warning("receipts_left_in_queue", budget_seconds=DRAIN_SECONDS)


async def _note_missing(queue: str) -> None:
    """A broker that lost its disk has lost receipts that carriers will not repeat; their segments
    end at the deadline."""
    _log.warning("queue_missing", queue=queue)
