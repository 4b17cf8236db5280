"""Books that agree, for tests to falsify."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from deploy.local.servers import Servers
from tests.integration.audit import books
from tests.servers import own_database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def right(servers: Servers) -> AsyncIterator[tuple[asyncpg.Connection, books.Books]]:
    """The owner of a database with books in it, once for all tests of a file."""
    async with own_database(servers) as url:
        owner = await asyncpg.connect(url, timeout=10)
        try:
            yield owner, await books.write(owner)
        finally:
            await owner.close(timeout=10)


@pytest_asyncio.fixture(loop_scope="module")
async def connection(
    right: tuple[asyncpg.Connection, books.Books],
) -> AsyncIterator[asyncpg.Connection]:
    """The owner, in a transaction as the audit's own is; what a test does is taken back."""
    owner, _ = right
    begun = owner.transaction(isolation="repeatable_read")
    await begun.start()
    try:
        yield owner
    finally:
        await begun.rollback()


@pytest_asyncio.fixture(loop_scope="module")
async def written(right: tuple[asyncpg.Connection, books.Books]) -> books.Books:
    """What is in them."""
    return right[1]
