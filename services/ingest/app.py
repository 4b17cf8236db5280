"""`sluice ingest`, from its settings to its end, in the order things start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated

import asyncpg
import structlog
from aiohttp import web
from msgspec import Meta

from services.ingest import departures, metrics, replies
from services.ingest.accept import Acceptor
from services.ingest.aircall import routes as aircall_routes
from services.ingest.mailjet import routes as mailjet_routes
from services.ingest.native import routes
from services.ingest.payments import events as payment_events
from services.ingest.relay import FAULTS, Relay
from services.ingest.settling import Settler
from services.ingest.web import auth, bodies, guesses, passwords, uses, waiters
from shared.access import keys, seals, vault
from shared.access.passwords import Cost
from shared.broker import link, publish, topology
from shared.db import (
    auto_replies,
    concatenations,
    idempotency,
    ledger,
    ledger_links,
    pool,
    published,
    sessions,
    spending,
    support,
    tokens,
    watch,
)
from shared.db.pool import ACQUIRE_SECONDS
from shared.ledger.deposits import VALIDATION_MAX
from shared.limits import door, permits
from shared.payments import registry
from shared.payments.contract import ProviderMeans
from shared.runtime import lifecycle, redis_link, settings
from shared.web import addresses, health, server

_log = structlog.get_logger()

FORGET_KEYS_SECONDS = 60.0
FORGET_REFERENCES_SECONDS = 600.0
FORGET_USAGE_SECONDS = 600.0
FORGET_REPLIES_SECONDS = 600.0
END_TOKENS_SECONDS = 10.0
CLOSE_DAYS_SECONDS = 60.0
FORGET_REQUESTS_SECONDS = 3_600.0
CLOSE_DAYS_SHARE = 20
"""A day is chained in one part of so many of a process's time: beside it others send."""
ADD_UP_SPENDING_SECONDS = 10.0
FORGET_SPENDING_SECONDS = 3_600.0
COUNT_REQUESTS_SECONDS = 30.0
DATABASE_AWAY_SECONDS = 5.0
"""Without a word of the database for so long, ingest can accept nothing."""


class Settings(server.Settings, frozen=True, kw_only=True):
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
    password_memory_kib: settings.PasswordMemory = settings.PASSWORD_MEMORY_KIB
    password_passes: settings.PasswordPasses = settings.PASSWORD_PASSES
    public_url: Annotated[
        str,
        Meta(
            description="Where producers reach the HTTP API, for links in answers; if not set, they"
            " are made of the request's own Host.",
            pattern="^(https?://[^/?#]+/?)?$",
            examples=["https://sms.example.com"],
        ),
    ] = ""
    payments_provider: Annotated[
        str,
        Meta(
            description="Who charges cards, as the file in shared/payments/adapters is called;"
            " empty: no deposits by card.",
        ),
    ] = ""
    payments_key: Annotated[str, Meta(description="The secret key at that provider.")] = ""
    payments_event_secrets: Annotated[
        tuple[str, ...],
        Meta(
            description="What the provider signs its events with; several while one is exchanged.",
            examples=["whsec_one,whsec_two"],
        ),
    ] = ()
    payments_url: Annotated[
        str, Meta(description="Where the provider's API is; empty: the provider's own.")
    ] = ""
    payments_return_url: Annotated[
        str, Meta(description="Where a payer's browser goes when a card was entered, or was not.")
    ] = "https://example.com/"
    payments_validation_seconds: Annotated[
        float,
        Meta(
            description="So long a card that was never used before is validated, if nobody decides"
            " earlier; what its bank holds back is charged then.",
            ge=0,
            le=VALIDATION_MAX.total_seconds(),
        ),
    ] = VALIDATION_MAX.total_seconds()

    def __post_init__(self) -> None:
        super().__post_init__()
        keys.Keys.read(self.secret_key)
        known = registry.names()
        if self.payments_provider and self.payments_provider not in known:
            raise ValueError(f"SLUICE_PAYMENTS_PROVIDER: expected one of {', '.join(known)}")
        if self.payments_provider and not (self.payments_key and self.payments_event_secrets):
            raise ValueError(
                "SLUICE_PAYMENTS_PROVIDER: needs SLUICE_PAYMENTS_KEY and"
                " SLUICE_PAYMENTS_EVENT_SECRETS"
            )


def main() -> int:
    """Take requests of producers: the HTTP API.

    Example: SLUICE_INGEST_PORT=8080 sluice ingest
    """
    chosen = settings.load(Settings)
    return lifecycle.run("ingest", lambda stop: serve(chosen, stop))


@asynccontextmanager
async def serve(chosen: Settings, stop: asyncio.Event) -> AsyncIterator[None]:
    """Accept requests while the body runs, then finish those that were taken in. A part that dies
    sets `stop`."""
    async with AsyncExitStack() as stack:
        database = await pool.open_pool(chosen.database_url, "ingest", chosen.ingest_pool)
        stack.push_async_callback(pool.close_pool, database)
        configured = await watch.Watch.start(database)
        redis = redis_link.connect(chosen.redis_url)
        stack.push_async_callback(redis.aclose)

        publisher = _publisher(chosen, database, configured)
        await stack.enter_async_context(link.supervised(publisher.link))
        relay = Relay(database, configured, publisher)
        stack.push_async_callback(relay.drain)
        platform = keys.Keys.read(chosen.secret_key)
        sealing = seals.Seals(platform)
        acceptor = Acceptor(database, relay, sealing)
        stack.push_async_callback(acceptor.drain)
        used = uses.Uses(database)
        stack.push_async_callback(_write_last, used)

        works: list[_Work] = [("relay", relay.run), ("configuration", configured.run)]
        settler = await _settler(chosen, database, configured, stack)
        if settler is not None:
            works.append(("deposits", settler.run))
        waiting = waiters.Waiters(database)
        departing = departures.DepartureForecasts(database, configured)
        answer = partial(replies.answer, database, configured, relay, sealing)
        steps: list[_Step] = [
            ("waiters", waiters.LOOK_SECONDS, waiting.look),
            ("replies", replies.SWEEP_SECONDS, answer),
            ("departures", departures.REFRESH_SECONDS, departing.refresh),
            ("uses", uses.WRITE_SECONDS, used.write),
            ("support requests", COUNT_REQUESTS_SECONDS, partial(_count_requests, database)),
        ]
        works += [_repeated(*step) for step in (*steps, *_cleaning(database))]
        for name, work in works:
            await stack.enter_async_context(lifecycle.background(name, work(), stop))

        hashing = passwords.Passwords(Cost(chosen.password_memory_kib, chosen.password_passes))
        stack.callback(hashing.close)
        context = routes.Context(
            pool=database,
            watch=configured,
            acceptor=acceptor,
            authenticator=auth.Authenticator(database, platform, used),
            door=door.Door(redis),
            keys=platform,
            vault=vault.Vault(platform),
            seals=sealing,
            proxies=addresses.Proxies(chosen.trusted_proxies),
            waiters=waiting,
            permits=permits.Permits(redis),
            departures=departing,
            passwords=hashing,
            guesses=guesses.Guesses(database),
            public_url=chosen.public_url,
            settler=settler,
        )
        missing = partial(_missing, configured, relay)
        async with _listening(chosen, context, missing) as port:
            _log.info("accepting", port=port)
            yield


def _publisher(
    chosen: Settings, database: asyncpg.Pool, configured: watch.Watch
) -> publish.Publisher:
    return publish.Publisher(
        chosen.amqp_url,
        "ingest",
        lambda: _queues(configured),
        topology.restored_by(partial(published.republish, database)),
    )


def _repeated(name: str, seconds: float, step: Callable[[], Awaitable[object]]) -> _Work:
    return name, partial(lifecycle.every, seconds, step, FAULTS)


async def _settler(
    chosen: Settings, database: asyncpg.Pool, configured: watch.Watch, stack: AsyncExitStack
) -> Settler | None:
    """Who settles deposits; None where no cards are taken."""
    if not chosen.payments_provider:
        return None
    means = ProviderMeans(
        chosen.payments_key,
        chosen.payments_event_secrets,
        chosen.payments_url,
        chosen.payments_return_url,
    )
    provider = registry.open_provider(chosen.payments_provider, means)
    stack.push_async_callback(provider.close)
    validation = timedelta(seconds=chosen.payments_validation_seconds)
    return Settler(database, provider, validation, configured.refresh)


_Work = tuple[str, Callable[[], Coroutine[None, None, None]]]
"""What goes on all the time, and its name."""
_Step = tuple[str, float, Callable[[], Awaitable[object]]]
"""What is done every so many seconds, and its name."""


def _cleaning(database: asyncpg.Pool) -> list[_Step]:
    """What is taken away, or closed, here."""
    return [
        ("keys", FORGET_KEYS_SECONDS, partial(idempotency.sweep, database)),
        ("references", FORGET_REFERENCES_SECONDS, partial(concatenations.sweep, database)),
        ("usage", FORGET_USAGE_SECONDS, partial(ledger.forget_usage, database)),
        ("old replies", FORGET_REPLIES_SECONDS, partial(auto_replies.sweep, database)),
        ("tokens", END_TOKENS_SECONDS, partial(_end_tokens, database)),
        ("ledger", CLOSE_DAYS_SECONDS, partial(_close_days, database)),
        ("spending", ADD_UP_SPENDING_SECONDS, partial(spending.add_up, database)),
        ("old spending", FORGET_SPENDING_SECONDS, partial(spending.forget, database)),
        ("old requests", FORGET_REQUESTS_SECONDS, partial(support.sweep, database)),
    ]


@asynccontextmanager
async def _listening(
    chosen: Settings, context: routes.Context, missing: health.Readiness
) -> AsyncIterator[int]:
    """The operator's port and the producers' are open while the body runs; yields the latter."""
    app = web.Application(client_max_size=bodies.BATCH_SIZE_MAX)
    health.add_routes(app, missing)
    routes.add_routes(app, context)
    payment_events.add_routes(app, context)
    aircall_routes.add_routes(app, context)
    mailjet_routes.add_routes(app, context)
    async with (
        health.serve(chosen.metrics_port, missing, chosen.metrics_host),
        server.listening(
            app, chosen.ingest_host, chosen.ingest_port, server.caps_of(chosen)
        ) as port,
    ):
        try:
            yield port
        finally:
            context.waiters.stop()


def _missing(configured: watch.Watch, relay: Relay) -> str | None:
    """What readiness lacks. The broker may be away: until the backlog is full, ingest accepts."""
    if time.monotonic() > configured.read_at_seconds + DATABASE_AWAY_SECONDS:
        return "the database does not answer"
    return "too many messages wait to be published" if relay.backlog_full else None


def _queues(configured: watch.Watch) -> list[str]:
    """Every queue the relay may publish to."""
    carriers = configured.current.carriers.values()
    return [queue for carrier in carriers for queue in topology.mt_queues(carrier.name)]


async def _count_requests(database: asyncpg.Pool) -> None:
    async with database.acquire(timeout=ACQUIRE_SECONDS) as opened:
        metrics.OPEN_SUPPORT_REQUESTS.set(await support.open_count(opened))


async def _end_tokens(database: asyncpg.Pool) -> None:
    """Processes of the release before know no expiry: what is gone they find no more."""
    async with database.acquire(timeout=ACQUIRE_SECONDS) as opened:
        await tokens.end_expired(opened)
        await sessions.forget_old(opened)


async def _close_days(database: asyncpg.Pool) -> None:
    """Chain the transfers of days that have ended: link after link, each a short transaction."""
    more = True
    while more:
        began = time.monotonic()
        async with database.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            more = await ledger_links.close_next(opened)
        await asyncio.sleep((CLOSE_DAYS_SHARE - 1) * (time.monotonic() - began))


async def _write_last(used: uses.Uses) -> None:
    try:
        await used.write()
    except FAULTS as error:
        _log.warning("token_uses_not_written", error=type(error).__name__)
