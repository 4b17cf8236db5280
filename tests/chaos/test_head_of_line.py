"""One full line with ten thousand waiting messages is nobody else's business."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass

from tests import fleet
from tests.chaos import database, load, scenario
from tests.chaos.arena import Arena

PARKED_COUNT = 10_000
BATCH_COUNT = 1_000
LIMIT = 500
"""Of the full line, an hour: all who wait are to leave within a day, else they are refused."""
PROBE_COUNT = 150
PROBES_PER_SECOND = 50.0
PATIENCE_SECONDS = 90.0
PROBING_COUNT_MAX = 10
"""Of 3 s and more. Noise of a machine that other things run on comes and goes, if sometimes only
after a while; a line that is held up stays so."""
SLOWER_FACTOR, SLOWER_MS = 2.0, 100.0
"""What noise is allowed beside that."""


@dataclass(frozen=True, slots=True)
class Latency:
    """From the request to the carrier, in ms."""

    p50: float
    p99: float

    def is_as_before(self, before: Latency) -> bool:
        """Whether it is no slower than noise makes it."""
        return (
            self.p50 <= before.p50 * SLOWER_FACTOR + SLOWER_MS
            and self.p99 <= before.p99 * SLOWER_FACTOR + SLOWER_MS
        )


async def test_a_line_is_not_slower_when_another_has_ten_thousand_parked(battered: Arena) -> None:
    # Given an account with a free line, and another account with a line that is full.
    full = fleet.account("full", credit="100000", limits=(LIMIT, 10**6, 10**6), sender="Full")
    battered.apply(full + fleet.account("free", credit="100000", sender="Free"))
    url = battered.fleet.environment["SLUICE_API_URL"]
    tokens = {name: battered.fleet.token(name) for name in ("full", "free")}
    random = scenario.seeded("head_of_line")
    async with (
        load.Client(url, tokens["free"], random, {"Free": 1}, 300_000) as free,
        load.Client(url, tokens["full"], random, {"Full": 1}, 320_000) as crowd,
    ):
        before = await probe(battered, free)
        # When the full line gets ten thousand messages, and a few more all the time.
        for _ in range((PARKED_COUNT + LIMIT) // BATCH_COUNT + 1):
            crowd.ask([crowd.wish(text="Still waiting.") for _ in range(BATCH_COUNT)])
            await crowd.answered()
        await parked(battered, "full", PARKED_COUNT)
        stop = asyncio.Event()
        crowding = asyncio.create_task(crowd.run(20.0, stop))
        during = [await probe(battered, free)]
        while not during[-1].is_as_before(before) and len(during) < PROBING_COUNT_MAX:
            during.append(await probe(battered, free))
        stop.set()
        await crowding
    # Then the free line did not notice.
    print(f"before {before}; with {PARKED_COUNT} parked {during}")
    assert during[-1].is_as_before(before)
    assert len(battered.journal(["Full"])) <= LIMIT
    assert await battered.audit_ok()


async def parked(stage: Arena, account: str, count: int) -> None:
    """Wait until so many messages of an account are parked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        statuses = await database.statuses(stage.servers.database_url, account)
        if statuses.get("parked", 0) >= count:
            return
        assert time.monotonic() < deadline, f"not parked: {statuses}"
        await asyncio.sleep(0.25)


async def probe(stage: Arena, client: load.Client) -> Latency:
    """Send single messages at an even pace; how long each took to reach the carrier."""
    wishes = []
    due = time.monotonic()
    for _ in range(PROBE_COUNT):
        wishes.append(client.wish(text="Ready to fetch."))
        client.ask(wishes[-1:])
        due += 1 / PROBES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await client.answered()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        arrived = {submit.recipient: submit.at_ms for submit in stage.journal(["Free"])}
        if all(wish.recipient in arrived for wish in wishes):
            break
        assert time.monotonic() < deadline, "not all probes have arrived"
        await asyncio.sleep(0.1)
    cuts = statistics.quantiles([arrived[w.recipient] - w.asked_ms for w in wishes], n=100)
    return Latency(round(cuts[49], 1), round(cuts[98], 1))
