"""A platform's books with a message in every place, and services to read them."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.audit import books


@pytest.fixture
async def written(owner: asyncpg.Connection) -> books.Books:
    return await books.write(owner)
