"""One bind to a carrier 40 ms away is as fast as the carrier, receipts and all."""

from __future__ import annotations

import asyncio
import os
import time

import aiohttp

from shared.smpp import codes, pdu
from tests import fleet
from tests.chaos import database
from tests.chaos.arena import Arena
from tests.chaos.own_carrier import OwnCarrier, standing_in, until

LIMIT = 400
WINDOW = 50
TRIP_SECONDS = 0.04
SECONDS = int(os.environ.get("SLUICE_TEST_RATE_SECONDS", "4"))
FINDING_SECONDS = 3
"""How long it may take to find the limit."""
SHARE_MIN, THROTTLED_MAX = (0.9, 0.01) if SECONDS >= 20 else (0.5, 0.05)
"""Of the limit, and of all; a few seconds beside all else that a machine does say less."""


class SlowCarrier(OwnCarrier):
    """It takes LIMIT a second, saved up for a tenth of one."""

    def __init__(self) -> None:
        super().__init__(TRIP_SECONDS, self._spend, with_receipts=True)
        self._tokens, self._at = 0.0, time.monotonic()

    def _spend(self, _submit: pdu.SubmitSm) -> int:
        now = time.monotonic()
        self._tokens = min(LIMIT / 10, self._tokens + (now - self._at) * LIMIT)
        self._at = now
        if self._tokens < 1:
            return codes.ESME_RTHROTTLED
        self._tokens -= 1
        return codes.ESME_ROK


async def post(url: str, token: str, count: int) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as producer:
        for first in range(0, count, 500):
            wishes = [
                {"to": f"+49151{20_000_000 + first + each}", "text": "Quick."}
                for each in range(500)
            ]
            async with producer.post(f"{url}/v1/messages/batch", json={"messages": wishes}) as said:
                assert not any("error" in each for each in (await said.json())["results"])


async def test_one_bind_is_as_fast_as_a_carrier_40_ms_away(battered: Arena) -> None:
    # given a carrier with a limit it does not tell, and more to send than it takes in that time
    slow = SlowCarrier()
    settings = f"binds = 1\nbinds_max = 1\nwindow_min = 5\nwindow = {WINDOW}"
    account = fleet.account("quick", credit="10000", sender="Quick")
    async with standing_in(battered, slow, "slow", settings, account):
        await until(20, lambda: len(slow.bound) == 1)
        url, token = battered.fleet.environment["SLUICE_API_URL"], battered.fleet.token("quick")
        count = -(-LIMIT * (SECONDS + FINDING_SECONDS) // 500) * 500 + 500
        posting = asyncio.create_task(post(url, token, count))
        await until(20, lambda: len(slow.submits) > 0)
        began_at = slow.submits[0].at + FINDING_SECONDS
        await asyncio.sleep(began_at + SECONDS - time.monotonic())
        seen = [each for each in slow.submits if began_at <= each.at < began_at + SECONDS]
        await posting
        # then the rest goes, too, and all is delivered
        async with asyncio.timeout(60):
            while (await database.statuses(battered.servers.database_url, "quick")) != {
                "delivered": count
            }:
                await asyncio.sleep(0.2)
    taken = sum(each.status == codes.ESME_ROK for each in seen)
    throttled = len(seen) - taken
    most = min(LIMIT, WINDOW / TRIP_SECONDS)
    print(
        f"one bind, {1000 * TRIP_SECONDS:.0f} ms: {taken / SECONDS:.0f} segments/s of {most:.0f},"
        f" {100 * throttled / len(seen):.2f} % throttled, with receipts"
    )
    assert slow.most_bound == 1
    assert taken / SECONDS >= SHARE_MIN * most
    assert throttled <= THROTTLED_MAX * len(seen) + 3
    assert await battered.audit_ok()
