"""kill -9 of pushers while they push: every event comes at least once, and is signed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from aiohttp import web

from services.webhooks import course
from shared.db import pushes
from tests.integration.starting import roles
from tests.integration.webhooks.hooks import SECRET_KEY, Hooks
from tests.receiver import Receiver

KILL_COUNT = 2
ROUND_COUNT = 400
"""Events that happen before each kill, and after the last."""


async def test_every_event_comes_although_pushers_are_killed(
    hooks: Hooks, receiver: Receiver, tmp_path: Path
) -> None:
    # Given two webhooks of a receiver that takes its time, and a pusher as a process of its own
    async def slow(_body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response(status=204)

    receiver.answers = slow
    secrets = {}
    for name in ("a", "b"):
        _, secrets[f"/{name}"] = await hooks.add(f"http://127.0.0.1:{receiver.port}/{name}")
    environment = {"SLUICE_DATABASE_URL": hooks.database_url, "SLUICE_SECRET_KEY": SECRET_KEY}

    # When it is killed again and again while it pushes, and another takes its place
    for _ in range(KILL_COUNT):
        async with roles.started("webhooks", tmp_path, environment) as pusher:
            await pusher.becomes("")
            await hooks.town.submit(ROUND_COUNT)
            wanted = len(receiver.received) + random.randrange(1, ROUND_COUNT)
            async with asyncio.timeout(pushes.LEASE_SECONDS + 20):
                while len(receiver.received) < wanted:
                    await asyncio.sleep(0.001)
            assert receiver.under_way > 0

    # Then the last one tells both the rest, and ends well
    await hooks.town.submit(ROUND_COUNT)
    event_count = ROUND_COUNT * (KILL_COUNT + 1)
    async with roles.started("webhooks", tmp_path, environment) as pusher:
        async with asyncio.timeout(90):
            while not _all_heard(receiver, len(secrets) * event_count):
                await asyncio.sleep(0.05)
        pusher.stop()
        assert await pusher.ended(25) == 0

    # And what came is what the log has, signed; a kill costs a round of each at most
    logged = {event.sequence: event.subject_id for event in await hooks.logged()}
    assert len(logged) == event_count
    for one in receiver.received:
        one.check(secrets[one.path])
        assert one.body["data"]["id"] == str(logged[one.sequence])
    repeated_count = len(receiver.received) - len(secrets) * event_count
    assert 0 < repeated_count <= KILL_COUNT * len(secrets) * course.BATCH_COUNT


def _all_heard(receiver: Receiver, count: int) -> bool:
    return len({(one.path, one.sequence) for one in receiver.taken}) == count
