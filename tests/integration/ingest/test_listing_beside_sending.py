"""Lists of an account that has sent a lot leave the others' requests as quick as they were."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time

import pytest

from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST_COUNT = 16
ROW_COUNT = 1_000_000
FILL_COUNT = 100_000
PROBE_COUNT = 60
SLOWER_MAX_SECONDS = 0.02
"""What listing may add to the median of the other account's requests."""
TRY_COUNT = 3

_FILL = f"""
INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
    country, encoding, segment_count, class, at_least_once, segment_price_micro, currency, status,
    reference, created_at, expires_at, updated_at)
SELECT (lpad(to_hex(1760000000000 + n), 12, '0') || '7' || repeat('0', 19))::uuid, account_id, 1,
    1, 1, 'Sluice', '+33600000000', 'FR', 'gsm7', 1, 1, false, 45300, 'EUR', 'delivered',
    'campaign', to_timestamp(1760000000 + n / 1000.0), now(), now()
FROM accounts, generate_series($1::int + 1, $1 + {FILL_COUNT}) AS n WHERE name = 'bob'"""
_NOTHING_FITS = ("status=parked", "to=%2B33699999999", "reference=campaign&status=failed")


async def test_posts_of_one_account_do_not_wait_for_the_lists_of_another(town: World) -> None:
    # Given an account with a million messages, and how long another's requests take
    for start in range(0, ROW_COUNT, FILL_COUNT):
        await town.pool.execute(_FILL, start)
    slower_seconds = []
    for _ in range(TRY_COUNT):
        alone_seconds = await _post_seconds(town)
        # When the first lists what it does not have, sixteen times at once
        lists = [asyncio.create_task(_list_for_ever(town, n)) for n in range(LIST_COUNT)]
        await asyncio.sleep(0.5)
        beside_seconds = await _post_seconds(town)
        assert not any(task.done() for task in lists)
        for task in lists:
            task.cancel()
        await asyncio.gather(*lists, return_exceptions=True)
        # Then the other's requests take as long as they did
        slower_seconds.append(beside_seconds - alone_seconds)
        if slower_seconds[-1] < SLOWER_MAX_SECONDS:
            return
    pytest.fail(f"slower by {slower_seconds} s")


async def _post_seconds(town: World) -> float:
    """The median of some requests, one after the other."""
    taken = []
    for _ in range(PROBE_COUNT):
        began_at = time.perf_counter()
        await town.post("alice", "/v1/messages", {"to": "+33612345678", "text": "hi"})
        taken.append(time.perf_counter() - began_at)
    return statistics.median(taken)


async def _list_for_ever(town: World, number: int) -> None:
    query = _NOTHING_FITS[number % len(_NOTHING_FITS)]
    for _ in itertools.count():
        path = f"/v1/messages?{query}"
        while path:
            page = await town.get("bob", path)
            assert page["messages"] == []
            path = f"/v1/messages?{query}&cursor={page['cursor']}" if page["cursor"] else ""
