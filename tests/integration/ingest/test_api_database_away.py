"""Without its database ingest says so soon, and works again by itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from deploy.local.servers import Servers
from tests.integration.dlr.world import gate
from tests.integration.ingest import world

ANSWER_SECONDS = 16.0
RETURN_SECONDS = 20.0
TOLD_SECONDS = 1.0
GOOD = {"to": "+33612345678", "text": "Hello"}


@pytest.mark.parametrize("known", [True, False], ids=["token known", "token not known"])
async def test_a_request_is_put_off_when_the_database_is_away(
    servers: Servers, known: bool
) -> None:
    async with (
        gate(servers.database_url) as (way, url),
        world.running(servers, url) as town,
    ):
        if known:
            await town.get("alice", "/v1/balance")
        way.shut()
        for method, path, body in (
            ("POST", "/v1/messages", GOOD),
            ("POST", "/v1/messages/batch", {"messages": [GOOD]}),
            ("GET", "/v1/events", None),
            ("GET", "/v1/inbound", None),
        ):
            began = time.monotonic()
            async with town.client.request(
                method, path, json=body, headers=town.bearer("alice")
            ) as answer:
                told = await answer.json(content_type="application/problem+json")
            assert (answer.status, told["code"]) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            assert time.monotonic() - began < ANSWER_SECONDS
        assert (await town.books())[0] == 0
        await _until_readiness_is(town, 503)

        way.reopen()
        async with asyncio.timeout(RETURN_SECONDS):
            while await _status(town) != 202:
                await asyncio.sleep(0.1)
        assert (await town.books())[0] == 1
        await _until_readiness_is(town, 200)


async def test_what_is_wrong_is_told_while_others_wait_for_the_database(servers: Servers) -> None:
    async with world.running(servers) as town:
        # Given a message that is not stored as long as somebody else has the wallet
        await town.get("alice", "/v1/balance")
        async with town.pool.acquire() as other, other.transaction():
            await other.execute("SELECT FROM wallets FOR UPDATE")
            good = asyncio.create_task(_status(town))
            await asyncio.sleep(0.2)

            # When another is none, then its producer hears so at once
            began = time.monotonic()
            bad = {"to": "nobody", "text": "Hello"}
            told = await town.post("alice", "/v1/messages", bad, 422)
            assert told["field"] == "to"
            assert time.monotonic() - began < TOLD_SECONDS
            assert not good.done()
        assert await good == 202


async def _until_readiness_is(town: world.World, wanted: int) -> None:
    async with asyncio.timeout(RETURN_SECONDS):
        while True:
            async with town.client.get("/health/ready") as answer:
                if answer.status == wanted:
                    return
            await asyncio.sleep(0.1)


async def _status(town: world.World) -> int:
    async with town.client.post("/v1/messages", json=GOOD, headers=town.bearer("alice")) as answer:
        return answer.status
