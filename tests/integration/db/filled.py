"""A database with so much in it that plans and looks tell what they cost, for a module's tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from deploy.local.servers import Servers
from shared.db import migrate, pool
from shared.db.connection import Connection
from tests.servers import as_services, in_database


@asynccontextmanager
async def filled(servers: Servers, *statements: str) -> AsyncIterator[Connection]:
    """The connection of a service, on a new database which its owner has filled so."""
    name = f"filled_{uuid.uuid4().hex}"
    url = in_database(servers.database_url, name)
    keeper = await asyncpg.connect(servers.database_url, timeout=10)
    try:
        await keeper.execute(f'CREATE DATABASE "{name}"')
        owner = await asyncpg.connect(url, timeout=10)
        await migrate.migrate(owner)
        for statement in statements:
            await owner.execute(statement)
        await owner.close(timeout=10)
        service = await pool.open_pool(as_services(url), "test", 1)
        async with service.acquire(timeout=10) as opened:
            yield opened
        await pool.close_pool(service)
    finally:
        await keeper.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await keeper.close(timeout=10)
