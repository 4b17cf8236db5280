"""Forged and malformed calls to a whole dlr: refused, counted, and nothing moved.

SLUICE_TEST_FORGERIES says how many; SLUICE_TEST_SEED which.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterator
from random import Random

import aiohttp
import yarl

from shared.broker import topology
from tests.integration.dlr import conftest, forgeries, world

COUNT = int(os.environ.get("SLUICE_TEST_FORGERIES", "1000"))
SEED = int(os.environ.get("SLUICE_TEST_SEED", "10"))
AT_A_TIME = 16
CARRIERS = (*forgeries.POSTING, "asking")
TABLES = (
    "messages",
    "segments",
    "submits",
    "receipts",
    "events",
    "transfers",
    "wallets",
    "inbound",
    "inbound_parts",
    "inbound_seen",
)


async def _make(service: conftest.Service, call: forgeries.Call) -> tuple[int, str]:
    """The status, and what kind of answer it is."""
    url = yarl.URL(f"{service.client._base_url}".rstrip("/") + call.path, encoded=True)
    way = aiohttp.TCPConnector(local_addr=(call.address, 0))
    async with (
        aiohttp.ClientSession(connector=way) as session,
        session.request(call.method, url, headers=call.headers, data=call.body or None) as response,
    ):
        await response.read()
        return response.status, response.content_type


async def _state(town: world.World) -> dict[str, str]:
    """Each table, whole, as one number."""
    whole = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {} t"
    return {table: await town.pool.fetchval(whole.format(table)) for table in TABLES}


async def _counted(service: conftest.Service) -> Counter[int]:
    async with service.client.get(service.metrics_url) as response:
        told = await response.text()
    found = re.findall(r'^sluice_dlr_callbacks_total\{status="(\d+)"\} (\d+)', told, re.MULTILINE)
    return Counter({int(status): int(count) for status, count in found})


async def test_forged_and_malformed_calls_are_refused_and_counted_and_move_nothing(
    town: world.World, service: conftest.Service, broker: conftest.Broker
) -> None:
    # Given a segment of each carrier that waits for its receipt
    waiting = {}
    for carrier in CARRIERS:
        [waiting[carrier]] = await town.hand_over(1, carrier=carrier)
    await town.answer(list(waiting.values()))
    names = {carrier: world.carrier_name_of(each) for carrier, each in waiting.items()}
    before, counted_before = await _state(town), await _counted(service)

    # When so many calls come that are none of theirs
    random = Random(SEED)
    calls = iter([forgeries.forged(random, names) for _ in range(COUNT)])
    told: Counter[int] = Counter()
    tried: Counter[str] = Counter()

    async def call_one_after_another(mine: Iterator[tuple[str, forgeries.Call]]) -> None:
        for what, call in mine:
            status, kind = await _make(service, call)
            assert 400 <= status < 500, f"{what}: {status} {call}"
            assert kind == "application/problem+json", f"{what}: {call}"
            told[status] += 1
            tried[what] += 1

    await asyncio.gather(*(call_one_after_another(calls) for _ in range(AT_A_TIME)))

    # Then each was refused and counted, and nothing has moved, nor is on its way
    assert await broker.count(topology.RECEIPTS) == 0
    assert await _state(town) == before
    counted = await _counted(service)
    counted.subtract(counted_before)
    assert +counted == told
    assert len(tried) == len(forgeries.FORGERS)

    # And each of the carriers is still believed
    for carrier in CARRIERS:
        status, _ = await _make(service, forgeries.valid(carrier, names[carrier]))
        assert status == 200

    async def are_delivered() -> bool:
        return await town.statuses(list(waiting.values())) == {"delivered"}

    await world.eventually(are_delivered)
