"""Pushers number events for those who can be told of them, and for nobody else."""

from __future__ import annotations

import pytest

from shared.db import line_callbacks, pushes
from shared.runtime import ids
from tests.integration.webhooks.hooks import Hooks

URL = "https://shop.example/told"


async def leased(hooks: Hooks) -> int:
    """How many webhooks a pusher takes, after which it gives none back."""
    async with hooks.town.pool.acquire() as connection:
        assert await line_callbacks.lease(connection, ids.uuid7(), 10) == []
        return len(await pushes.lease(connection, ids.uuid7(), 10))


@pytest.mark.parametrize("state", ["disabled", "active"])
async def test_events_are_numbered_for_webhooks_that_can_be_told(hooks: Hooks, state: str) -> None:
    # Given a message that was submitted, and nobody who is told of it
    await hooks.town.submit(1)
    assert await leased(hooks) == 0
    assert await hooks.town.count("event_notes") == 1
    # When a webhook is made, Then it begins after what has happened
    webhook_id, _ = await hooks.add(URL)
    assert await hooks.town.count("event_notes") == 0
    assert (await hooks.get(webhook_id)).read_until == 1
    # When more happens, Then it is numbered at once if the webhook can be told of it
    await hooks.change(webhook_id, state=state)
    await hooks.town.submit(1)
    is_told = state == "active"
    assert await leased(hooks) == is_told
    assert await hooks.town.count("event_notes") == (not is_told)
    # And not while somebody is at it, who looks for himself when he is done
    await hooks.town.submit(1)
    assert await leased(hooks) == 0
    assert await hooks.town.count("event_notes") == 1 + (not is_told)
