"""Books that agree, for tests to falsify."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.audit import books


@pytest.fixture
def connection(owner: asyncpg.Connection) -> asyncpg.Connection:
    """A migrated database in which nothing is."""
    return owner


@pytest.fixture
async def written(connection: asyncpg.Connection) -> books.Books:
    return await books.write(connection)
