"""A migrated database with an account in it, its receiver, and waits that a test can wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.webhooks import policy
from tests.integration.dlr import world
from tests.integration.dlr.conftest import database
from tests.integration.webhooks.hooks import Hooks
from tests.receiver import Receiver, receiving

__all__ = ["database"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of seconds instead of minutes."""
    monkeypatch.setattr(policy, "FIRST_DELAY_SECONDS", 0.2)
    monkeypatch.setattr(policy, "DELAY_SECONDS_MAX", 1.0)
    monkeypatch.setattr(policy, "FIRST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(policy, "PAUSE_SECONDS_MAX", 0.4)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


@pytest.fixture
async def hooks(database: asyncpg.Pool, services_url: str, receiver: Receiver) -> Hooks:
    built = Hooks(await world.build(database), services_url)
    await built.allow(receiver.port)
    return built
