"""Books that agree, for tests to falsify."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.db import migrate
from tests.integration.audit import books


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A migrated database in which nothing is."""
    opened = await asyncpg.connect(database_url, timeout=10)
    try:
        await migrate.migrate(opened)
        yield opened
    finally:
        await opened.close(timeout=10)


@pytest.fixture
async def written(connection: asyncpg.Connection) -> books.Books:
    return await books.write(connection)
