"""One running ingest for all tests of a file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from deploy.local.servers import Servers
from tests.integration.ingest import till, world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(servers: Servers) -> AsyncIterator[world.World]:
    async with world.running(servers) as built:
        yield built


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(servers: Servers) -> AsyncIterator[till.Till]:
    """The same with a provider of card payments."""
    async with till.standing(servers) as built:
        yield built
