"""A thousand webhooks, and one among them that never answers: the others hardly notice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from shared.access import signatures
from tests.integration.starting import roles
from tests.integration.webhooks.hooks import SECRET_KEY, VAULT, Hooks
from tests.receiver import Receiver, receiving

WEBHOOK_COUNT = 1_000
TURN_COUNT = 3
TURN_SECONDS = 2.0
TRY_COUNT = 4
SLACK_SECONDS = 0.1
"""What a busy machine may add to a percentile."""

_CROWD = """
INSERT INTO webhooks (webhook_id, account_id, url, events, sealed_secret, read_until)
SELECT gen_random_uuid(), account_id, $2 || n, '{*}', $3, last_sequence
FROM event_heads, generate_series(1, $4) AS n WHERE account_id = $1"""
_PART = "DELETE FROM webhooks WHERE url LIKE $1"


async def test_one_tarpit_among_a_thousand_costs_the_others_little(
    hooks: Hooks, receiver: Receiver, tmp_path: Path
) -> None:
    # Given a thousand webhooks that answer, and the time it takes to tell them
    await _join(hooks, receiver, WEBHOOK_COUNT)
    environment = {"SLUICE_DATABASE_URL": hooks.database_url, "SLUICE_SECRET_KEY": SECRET_KEY}

    released = asyncio.Event()

    async def stuck(_body: dict[str, Any]) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with (
        roles.started("webhooks", tmp_path, environment) as pusher,
        receiving() as tarpit,
    ):
        tarpit.answers = stuck
        await hooks.allow(receiver.port, tarpit.port)
        await pusher.becomes("")
        await _delays(hooks, receiver, 1)  # its first connections
        without = await _delays(hooks, receiver, TURN_COUNT)

        # When one that never answers joins them and goes again: what else the machine does meets
        # what comes before it and after it as well
        for _ in range(TRY_COUNT):
            await _join(hooks, tarpit, 1)
            beside = await _delays(hooks, receiver, TURN_COUNT)
            await hooks.town.pool.execute(_PART, f"{tarpit.url}/%")
            after = await _delays(hooks, receiver, TURN_COUNT)
            most = 1.1 * max(_share(without, 0.99), _share(after, 0.99)) + SLACK_SECONDS
            if _share(beside, 0.99) <= most:
                break
            without = after
        released.set()
        pusher.stop()
        assert await pusher.ended(25) == 0

    # Then the others are told as soon as before
    figures = [(_share(each, 0.5), _share(each, 0.99)) for each in (without, beside, after)]
    print("seconds from event to webhook, p50 and p99, without, beside, after:", figures)
    assert tarpit.received
    assert figures[1][1] <= most


async def _join(hooks: Hooks, receiver: Receiver, count: int) -> None:
    """More webhooks than one account could have."""
    sealed = VAULT.seal(signatures.make_secret())
    await hooks.town.pool.execute(_CROWD, hooks.town.account_id, receiver.url + "/", sealed, count)


async def _delays(hooks: Hooks, receiver: Receiver, turn_count: int) -> list[float]:
    """How long after its event each webhook was told, in some turns of one event."""
    delays: list[float] = []
    for _ in range(turn_count):
        receiver.received.clear()
        began_at = time.time()
        await hooks.town.submit(1)
        async with asyncio.timeout(30):
            while len(receiver.received) < WEBHOOK_COUNT:
                await asyncio.sleep(0.01)
        delays += [one.at_seconds - began_at for one in receiver.received]
        await asyncio.sleep(max(0.0, began_at + TURN_SECONDS - time.time()))
    return delays


def _share(delays: list[float], share: float) -> float:
    return round(sorted(delays)[int(share * (len(delays) - 1))], 3)
