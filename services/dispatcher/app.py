"""`sluice dispatcher`, from its settings to its end, in the order things start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import structlog
from msgspec import Meta

from services.dispatcher import leases, unheard, unlimited
from services.dispatcher.dispatch import FAULTS, Desk
from services.dispatcher.health import Doctor
from services.dispatcher.inbound import InboundDesk
from services.dispatcher.lanes import Deliveries, Lanes
from services.dispatcher.receipts import ReceiptDesk
from services.dispatcher.record import Recorder
from services.dispatcher.schedule import Scheduler
from services.dispatcher.sweep import Sweeper
from shared.access import keys, seals
from shared.broker import link, publish, topology
from shared.carriers import registry
from shared.db import pool, watch, workers
from shared.limits.limiter import Limiter
from shared.limits.pace import Pace
from shared.limits.permits import Permits
from shared.runtime import ids, lifecycle, redis_link, settings
from shared.web import health

_log = structlog.get_logger()


BROKER_SECONDS = 5.0
"""How long to wait for the broker before binding to carriers without it."""


class Settings(settings.Servers, frozen=True, kw_only=True):
    """What a dispatcher reads from the environment."""

    redis_url: settings.RedisUrl
    secret_key: settings.SecretKey
    dispatcher_pool: settings.Connections = 12
    resubmit_seconds: Annotated[
        float,
        Meta(
            description="So long after its answer was lost a segment is submitted again that asks"
            " for at_least_once, or whose carrier is idempotent.",
            gt=0,
            le=86_400,
        ),
    ] = 60.0

    def __post_init__(self) -> None:
        keys.Keys.read(self.secret_key)


def main() -> int:
    """Hold messages to their limits and submit them to carriers.

    Example: sluice dispatcher
    """
    chosen = settings.load(Settings)
    return lifecycle.run("dispatcher", lambda stop: serve(chosen, stop))


@asynccontextmanager
async def serve(chosen: Settings, stop: asyncio.Event) -> AsyncIterator[None]:
    """Submit while the body runs, then finish what is in flight. A part that dies sets `stop`."""
    platform = keys.Keys.read(chosen.secret_key)
    registry.use_keys(platform)
    async with AsyncExitStack() as stack:
        database = await pool.open_pool(chosen.database_url, "dispatcher", chosen.dispatcher_pool)
        stack.push_async_callback(pool.close_pool, database)
        configured = await watch.Watch.start(database)
        redis = redis_link.connect(chosen.redis_url)
        stack.push_async_callback(redis.aclose)

        publisher = await _publisher(stack, chosen.amqp_url)
        worker_id = ids.uuid7()
        limiter = Limiter(database, Permits(redis))
        sealing = seals.Seals(platform)
        desk = Desk(database, configured, worker_id, limiter, Pace(redis), sealing)
        recorder = Recorder(desk)
        receipts = ReceiptDesk(publisher, recorder)
        stack.push_async_callback(receipts.drain)
        inbound = InboundDesk(database, sealing)
        stack.push_async_callback(inbound.drain)

        sweeper = Sweeper(database, worker_id, chosen.resubmit_seconds, configured)
        await sweeper.beat()
        stack.push_async_callback(sweeper.leave)
        stack.push_async_callback(desk.unlimited.leave)
        stack.push_async_callback(unheard.leave, desk)
        stack.push_async_callback(recorder.drain)
        lanes = Lanes(chosen.amqp_url, desk, recorder, Deliveries(receipts, inbound), stop)
        stack.push_async_callback(lanes.close)
        await lanes.fit(configured.current)
        configured.on_change(lanes.fit)

        async def put_back() -> None:
            await unheard.put_back(desk)

        scheduler = Scheduler(database, configured, limiter)
        configured.on_change(scheduler.wake_changed)
        for seconds, step in (
            (workers.BEAT_SECONDS, sweeper.beat),
            (0.5, scheduler.turn),
            (5.0, sweeper.expire),
            (0.5, sweeper.cancel_opted_out),
            (1.0, put_back),
            (1.0, Doctor(database, configured, desk.health, lanes.looks).look_after),
            (leases.LOOK_SECONDS, lanes.look_at_leases),
            (2.0, sweeper.doubt),
            (2.0, sweeper.resubmit),
            (1.0, inbound.forget_heard),
            (unlimited.WRITE_SECONDS, desk.unlimited.write),
            (600.0, sweeper.tidy),
        ):
            every = lifecycle.every(seconds, step, FAULTS)
            await stack.enter_async_context(lifecycle.background(step.__name__, every, stop))
        await stack.enter_async_context(
            lifecycle.background("configuration", configured.run(), stop)
        )
        missing = partial(_missing, lanes, publisher.link)
        serving = health.serve(chosen.metrics_port, missing, chosen.metrics_host)
        await stack.enter_async_context(serving)
        _log.info("dispatching", worker_id=str(worker_id))
        yield


async def _publisher(stack: AsyncExitStack, amqp_url: str) -> publish.Publisher:
    """Of receipts: carriers hand them over as soon as they are bound; without a broker they are
    refused."""
    publisher = publish.Publisher(
        amqp_url, "dispatcher", lambda: [topology.RECEIPTS], topology.nothing_to_restore
    )
    await stack.enter_async_context(link.supervised(publisher.link))
    await publisher.link.wait_up(BROKER_SECONDS)
    return publisher


def _missing(lanes: Lanes, publishing: link.Link) -> str | None:
    """What readiness lacks. Redis may be away: then what asks for a permit waits."""
    return lanes.waiting_for if publishing.up else "the broker does not answer"
