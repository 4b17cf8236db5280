"""A carrier that allows two binds sees two, however many dispatchers come and go."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise

import aiohttp

from shared.db import workers
from tests import fleet
from tests.chaos import arena
from tests.chaos.arena import Arena
from tests.chaos.own_carrier import OwnCarrier, standing_in, until

BINDS_MAX = 2
WINDOW = 50
ROUNDS = int(os.environ.get("SLUICE_TEST_LEASE_ROUNDS", "1"))
KILLS = ROUNDS > 1
PER_SECOND = 100
GAP_SECONDS_MAX = 3.0


async def keep_sending(url: str, token: str, stop: asyncio.Event) -> int:
    """So many messages a second, evenly; how many were accepted."""
    count = 0
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as producer:
        while not stop.is_set():
            wishes = [
                {"to": f"+49151{10_000_000 + count + each}", "text": "Counted."}
                for each in range(PER_SECOND // 10)
            ]
            async with producer.post(f"{url}/v1/messages/batch", json={"messages": wishes}) as said:
                results = (await said.json())["results"]
                assert not any("error" in each for each in results), results[0]
            count += len(wishes)
            await asyncio.sleep(0.1)
    return count


def longest_gap(counted: OwnCarrier) -> float:
    """Between two submits, in seconds."""
    return max(after.at - before.at for before, after in pairwise(counted.submits))


async def test_a_rolling_restart_hands_binds_over(battered: Arena) -> None:
    # given a carrier of two binds, and two dispatchers that each want both
    counted = OwnCarrier(0.02)
    account = fleet.account("leases", credit="10000", sender="Leases")
    binds = f"binds = {BINDS_MAX}\nbinds_max = {BINDS_MAX}\nwindow = {WINDOW}"
    async with standing_in(battered, counted, "counted", binds, account):
        stop = asyncio.Event()
        url, token = battered.fleet.environment["SLUICE_API_URL"], battered.fleet.token("leases")
        sending = asyncio.create_task(keep_sending(url, token, stop))
        await until(20, lambda: sending.done() or len(counted.submits) > PER_SECOND)
        # when each of them is restarted in turn, under load
        for _ in range(ROUNDS):
            for name in arena.DISPATCHERS:
                assert await battered.terminate(name) == 0
                await until(20, lambda: len(counted.bound) == BINDS_MAX)
                await asyncio.sleep(0.5)
        gap = longest_gap(counted)
        if KILLS:
            await kill_holder(battered, counted)
        stop.set()
        count = await sending
        await until(30, lambda: len(counted.submits) >= count - KILLS * BINDS_MAX * WINDOW)
    # then the carrier has never seen a third, and hardly noticed
    print(f"{2 * ROUNDS} restarts: {gap:.2f} s at most without a submit")
    assert counted.most_bound == BINDS_MAX
    assert gap <= GAP_SECONDS_MAX
    assert await battered.audit_ok()


async def kill_holder(stage: Arena, counted: OwnCarrier) -> None:
    """The one that has the binds dies: the other has them once it counts as dead."""
    for name in arena.DISPATCHERS:
        stage.fleet.kill(name)
        await asyncio.sleep(0.5)
        held = not counted.bound
        if held:
            await until(workers.SILENCE_SECONDS + 5, lambda: len(counted.bound) == BINDS_MAX)
        stage.fleet.restart(name)
        await stage.fleet.ready(name)
        if held:
            return
