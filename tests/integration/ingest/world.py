"""A running ingest with a few accounts in it, and the books to compare before and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec
from redis import asyncio as redis

from deploy.local.servers import Servers
from services.ingest import app
from shared.access import keys, tokens
from shared.access.rights import ALL_SCOPES, AccessScope
from shared.db import apply, configuration, ledger, pool
from shared.db import tokens as stored
from tests.ports import free_port
from tests.servers import as_services, in_database, own_database

SECRET_KEY = "c0ffee" * 10
OLD_KEY = "an old key of the platform that goes out"
KEYS = keys.Keys.read(SECRET_KEY)
CREDIT_MICRO = 1_000_000_000
START_SECONDS = 30.0
JSON = {"Content-Type": "application/json"}
PROXY = "127.0.0.40"
"""Where a proxy that ingest trusts calls from."""
ADDRESS_CONNECTIONS_MAX = 200
NUMBER = "+33698765432"
"""A line of Alice's that phones can answer."""

ACCOUNTS = (
    apply.Account("alice", "EUR", daily_limit=100_000, requests_per_minute=1_000_000),
    apply.Account("bob", "EUR", daily_limit=100_000, requests_per_minute=1_000_000),
    apply.Account("poor", "EUR", daily_limit=100_000, requests_per_minute=1_000_000),
    apply.Account("capped", "EUR", daily_limit=2, requests_per_minute=1_000_000),
    apply.Account("hasty", "EUR", daily_limit=100_000, requests_per_minute=3),
    apply.Account(
        "special",
        "EUR",
        daily_limit=100_000,
        requests_per_minute=1_000_000,
        special_numbers=True,
    ),
    apply.Account("lineless", "EUR", daily_limit=100_000, requests_per_minute=1_000_000),
)
PRICES = {"FR": 45_300, "DE": 70_000}
SPECIAL_PRICE_MICRO = 2_500_000


@dataclass(frozen=True, slots=True)
class World:
    """A client of the running ingest, its accounts' tokens, and its database."""

    client: aiohttp.ClientSession
    pool: asyncpg.Pool
    tokens: dict[str, str]
    settings: app.Settings

    @property
    def port(self) -> int:
        return self.settings.ingest_port

    @property
    def metrics_port(self) -> int:
        return self.settings.metrics_port

    def bearer(self, account: str) -> dict[str, str]:
        """The header that says who asks."""
        return {"Authorization": f"Bearer {self.tokens[account]}"}

    async def get(self, account: str, path: str, status: int = 200) -> Any:
        """The answer to a GET, which must have this status."""
        async with self.client.get(path, headers=self.bearer(account)) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def post(
        self, account: str, path: str, body: object, status: int = 202, key: str | None = None
    ) -> Any:
        """The answer to a POST of JSON, which must have this status."""
        headers = self.bearer(account) | ({} if key is None else {"Idempotency-Key": key})
        async with self.client.post(path, headers=headers, json=body) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)

    async def new_token(
        self,
        account: str,
        name: str,
        *,
        made_with: keys.Keys = KEYS,
        with_check: bool = True,
        good_for: timedelta | None = None,
        scopes: AbstractSet[AccessScope] = ALL_SCOPES,
    ) -> str:
        """A further token of an account, unknown to every process."""
        token = tokens.make(made_with, narrow=scopes != ALL_SCOPES)
        if not with_check:
            token = token[: tokens.SECRET_LENGTH]
        token_hash, *_ = tokens.hashes(token, made_with)
        new = stored.NewToken(name, token_hash, scopes, good_for)
        async with self.pool.acquire() as connection, connection.transaction():
            await stored.create(connection, await _account_id(connection, account), new)
        return token

    async def books(self) -> tuple[int, ...]:
        """What a request that is refused must leave alone."""
        rows = await self.pool.fetch(
            "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM parts), "
            "(SELECT count(*) FROM transfers), (SELECT count(*) FROM idempotency_keys), "
            "(SELECT sum(balance_micro)::bigint FROM wallets), (SELECT count(*) FROM work), "
            "(SELECT coalesce(sum(segment_count), 0) FROM usage_by_slot)"
        )
        return tuple(rows[0])


@asynccontextmanager
async def running(
    servers: Servers, database_server: str = "", **further: Any
) -> AsyncIterator[World]:
    """A database of its own, seeded, and ingest on it until the body ends.

    `database_server` is the URL by which ingest reaches the server, if not the usual one;
    `further` are settings of ingest.
    """
    async with redis.Redis.from_url(servers.redis_url) as limiter:
        await limiter.flushdb()  # of requests by accounts of the same ids, in other worlds
    async with own_database(servers) as url:
        name = urlsplit(url).path.removeprefix("/")
        database = await pool.open_pool(as_services(url), "test", 4)
        try:
            known = await _seed(database, name)
            reached = as_services(in_database(database_server or servers.database_url, name))
            chosen = _settings(servers, reached, further)
            async with serving(chosen) as client:
                yield World(client, database, known, chosen)
        finally:
            await pool.close_pool(database)


async def _seed(database: asyncpg.Pool, carrier: str) -> dict[str, str]:
    """Accounts, lines, prices and a way out; the accounts' tokens."""
    async with database.acquire() as connection, connection.transaction():
        for account in ACCOUNTS:
            await apply.put(connection, account, None)
            if account.name != "poor":
                await ledger.credit(
                    connection,
                    await _account_id(connection, account.name),
                    "EUR",
                    CREDIT_MICRO,
                    "test",
                )
            if account.name != "lineless":
                line = (account.name, "Sluice", "alphanumeric", "FR", True)
                await apply.put(connection, apply.Line(*line, 10_000, 10_000, 10_000), None)
        await apply.put(connection, apply.SpecialPrice("FR", "EUR", SPECIAL_PRICE_MICRO), None)
        narrow = apply.Line("alice", "Narrow", "alphanumeric", "FR", False, 2, 1_000, 1_000)
        await apply.put(connection, narrow, None)
        number = apply.Line("alice", NUMBER, "mobile", "FR", False, 10_000, 10_000, 10_000)
        await apply.put(connection, number, None)
        for country, amount_micro in PRICES.items():
            await apply.put(connection, apply.Price(country, "EUR", amount_micro), None)
        settings = {"host": "127.0.0.1", "port": 9, "system_id": "us", "password": "pw"}
        await apply.put(connection, apply.Carrier(carrier, "smpp", 0, settings), None)
        await apply.put(connection, apply.Route("*", carrier, 1), None)
        await configuration.bump(connection)
        made = {account.name: tokens.make(KEYS) for account in ACCOUNTS}
        for account_name, token in made.items():
            token_hash, *_ = tokens.hashes(token, KEYS)
            account_id = await _account_id(connection, account_name)
            await stored.create(connection, account_id, stored.NewToken("test", token_hash))
    return made


async def _account_id(connection: Any, name: str) -> int:
    return int(await connection.fetchval("SELECT account_id FROM accounts WHERE name = $1", name))


def _settings(servers: Servers, url: str, further: dict[str, Any]) -> app.Settings:
    values: dict[str, Any] = {
        "database_url": url,
        "amqp_url": servers.amqp_url,
        "redis_url": servers.redis_url,
        "secret_key": f"{SECRET_KEY},{OLD_KEY}",
        "ingest_port": free_port(),
        "metrics_port": free_port(),
        "trusted_proxies": (PROXY,),
        "password_memory_kib": 64,
        "password_passes": 1,
        "address_connections_max": ADDRESS_CONNECTIONS_MAX,
    }
    return app.Settings(**(values | further))


def beside(town: World) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """A client of another ingest on the same servers, until the body ends."""
    other = msgspec.structs.replace(
        town.settings, ingest_port=free_port(), metrics_port=free_port()
    )
    return serving(other)


@asynccontextmanager
async def serving(chosen: app.Settings) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an ingest with these settings, ready, until the body ends."""
    async with (
        app.serve(chosen, asyncio.Event()),
        aiohttp.ClientSession(
            f"http://127.0.0.1:{chosen.ingest_port}", timeout=aiohttp.ClientTimeout(total=30)
        ) as client,
    ):
        async with asyncio.timeout(START_SECONDS):
            while not await _is_ready(client):
                await asyncio.sleep(0.05)
        yield client


async def _is_ready(client: aiohttp.ClientSession) -> bool:
    async with client.get("/health/ready") as answer:
        return answer.status == 200
