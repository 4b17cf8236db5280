"""Throwaway servers for tests, and fixtures that hand each test a clean corner of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
import pytest
from redis import asyncio as redis

from deploy.local import checkout, kept, processes
from deploy.local.servers import Servers
from shared.db import migrate, pool

_PREFIX = f"sluice-test-{os.getuid()}-{checkout.digest(checkout.ROOT)}-"
_TEMPLATE = f"migrated_{os.getpid()}"
_migrated_servers: set[str] = set()
"""Where this process has made it."""
_DISK = Path(tempfile.gettempdir())
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 8 << 30
"""Data lie in memory only where it has room for the servers of several workers."""


@contextmanager
def throwaway(
    *, durable: bool = False, elsewhere: Mapping[str, str] | None = None
) -> Iterator[Servers]:
    """Start PostgreSQL, RabbitMQ and Redis in a temporary folder; all of it goes at the end. It is
    in memory if nothing of it has to last: a database has 700 files, and most tests have their own.

    A server whose URL is in the environment (`SLUICE_DATABASE_URL`, `SLUICE_AMQP_URL`,
    `SLUICE_REDIS_URL`) is used instead of a private one, and one whose URL is in `elsewhere` is
    not needed. A missing server is an error.
    """
    _sweep()
    parent = _DISK if durable or not _has_room(_MEMORY) else _MEMORY
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
    servers = Servers(folder, kept.given_urls({**os.environ, **(elsewhere or {})}), durable=durable)
    try:
        servers.start()
        yield servers
    finally:
        servers.abandon()
        servers.place.forget_data()
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(memory: Path) -> bool:
    if not os.access(memory, os.W_OK):
        return False
    free = min(shutil.disk_usage(memory).free, psutil.virtual_memory().available)
    return free >= _MEMORY_BYTES_MIN


def _sweep() -> None:
    """End and delete what test runs of this checkout left behind when they were killed."""
    with kept.locked(_DISK / f"sweep-{_PREFIX}.lock", wait=True):
        for folder in (*_DISK.glob(f"{_PREFIX}*"), *_MEMORY.glob(f"{_PREFIX}*")):
            owner = int(folder.name.removeprefix(_PREFIX).partition("-")[0])
            if not processes.is_alive(owner):
                processes.stop_leftovers(folder)
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The session's fast servers (no fsync), shared by all tests that do not kill them."""
    with throwaway() as started:
        yield started
        asyncio.run(_execute(started.database_url, f'DROP DATABASE IF EXISTS "{_TEMPLATE}"'))


@pytest.fixture
async def database_url(servers: Servers) -> AsyncIterator[str]:
    """A database of this test's own, with the schema and no rows, as its owner."""
    async with own_database(servers) as url:
        yield url


@pytest.fixture
async def empty_database_url(servers: Servers) -> AsyncIterator[str]:
    """A database of this test's own in which nothing is, as its owner."""
    async with _copy(servers.database_url, "template1") as url:
        yield url


@asynccontextmanager
async def own_database(servers: Servers) -> AsyncIterator[str]:
    """A database with the schema and no rows, for as long as the body runs."""
    url = servers.database_url
    async with _copy(url, await _migrated(url)) as copied:
        yield copied


async def _migrated(server_url: str) -> str:
    """The server's database of which those of tests are copies: half the work of migrating each."""
    if server_url in _migrated_servers:
        return _TEMPLATE
    unfinished = f"{_TEMPLATE}_unfinished"
    await _execute(server_url, f'CREATE DATABASE "{unfinished}"')
    connection = await asyncpg.connect(in_database(server_url, unfinished), timeout=10)
    try:
        await migrate.migrate(connection)
    finally:
        await connection.close(timeout=10)
    await _execute(server_url, f'ALTER DATABASE "{unfinished}" RENAME TO "{_TEMPLATE}"')
    _migrated_servers.add(server_url)
    return _TEMPLATE


@asynccontextmanager
async def _copy(server_url: str, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    await _execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    try:
        yield in_database(server_url, name)
    finally:
        await _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def services_url(database_url: str) -> str:
    """The same database for what services do, with their rights only."""
    return as_services(database_url)


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner of that database."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


@pytest.fixture
async def services(owner: asyncpg.Connection, services_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A service's own way into it, with its rights and its plans."""
    opened = await pool.open_pool(services_url, "test", 10)
    try:
        yield opened
    finally:
        await pool.close_pool(opened)


def in_database(url: str, name: str) -> str:
    """The way to another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def as_services(url: str) -> str:
    """The way to a database for an owner who gives up all rights but those of services."""
    return urlunsplit(urlsplit(url)._replace(query="role=sluice_services"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement, timeout=30)
    finally:
        await connection.close(timeout=10)


@pytest.fixture(scope="session")
def amqp_url(servers: Servers) -> str:
    """The session's broker; tests share it, so they name their queues and exchanges uniquely."""
    return servers.amqp_url


@pytest.fixture
async def redis_url(servers: Servers) -> AsyncIterator[str]:
    """The session's Redis, empty before and after the test. One of yours must be empty at first."""
    client = redis.Redis.from_url(servers.redis_url)
    try:
        if "SLUICE_REDIS_URL" not in servers.private_urls and await client.dbsize():
            pytest.fail("the Redis in SLUICE_REDIS_URL holds keys; tests would delete them")
        await client.flushdb()
        yield servers.redis_url
        await client.flushdb()
    finally:
        await client.aclose()
