"""A database with so much in it that plans and looks tell what they cost, for a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from deploy.local.servers import Servers
from shared.db import pool
from shared.db.connection import Connection
from tests.servers import as_services, own_database


@asynccontextmanager
async def filled(servers: Servers, *statements: str) -> AsyncIterator[Connection]:
    """The connection of a service, on a new database which its owner has filled so."""
    async with own_database(servers) as url:
        owner = await asyncpg.connect(url, timeout=10)
        for statement in statements:
            await owner.execute(statement)
        await owner.close(timeout=10)
        service = await pool.open_pool(as_services(url), "test", 1)
        async with service.acquire(timeout=10) as opened:
            yield opened
        await pool.close_pool(service)
