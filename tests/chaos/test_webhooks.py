"""Pushers, PostgreSQL and the receiver itself go down while things happen: every event is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import aiohttp

from tests import fleet
from tests.chaos.arena import Arena
from tests.receiver import Receiver, receiving

ACCOUNT = "told"
PUSHERS = ("pusher-1", "pusher-2")
BATCH_COUNT = 100
TOLD_SECONDS = 120.0
ENDS = {"delivered", "undelivered", "rejected", "expired", "failed", "unknown"}


async def test_every_event_is_told_whoever_dies(battered: Arena) -> None:
    async with AsyncExitStack() as stack:
        # Given a webhook, two pushers, and messages on their way
        first = await stack.enter_async_context(receiving())
        battered.apply(
            fleet.account(ACCOUNT, sender=ACCOUNT)
            + f'[egress]\nallow = ["127.0.0.1:{first.port}"]\n'
        )
        for name in PUSHERS:
            battered.fleet.start("webhooks", name)
            stack.callback(battered.fleet.retire, name)
        await battered.fleet.ready(*PUSHERS)
        client = await stack.enter_async_context(_client(battered))
        made = await _made(client, first)

        # When pushers are killed, PostgreSQL crashes, and the receiver is away for a while
        faults: list[Callable[[], Awaitable[None]]] = [
            partial(battered.kill, PUSHERS[0]),
            partial(battered.crash, "postgres", 0.5),
            partial(battered.kill, PUSHERS[1]),
        ]
        for fault in faults:
            await _send(client, BATCH_COUNT)
            await first.hears(len(first.sequences) + 10, TOLD_SECONDS)
            await fault()
        port = first.port
        await first.close()
        await _send(client, BATCH_COUNT)
        last_sequence = await _log_end(client, (len(faults) + 1) * BATCH_COUNT)
        second = await stack.enter_async_context(receiving(port))
        # What the first had may come again: its pusher died before that was written down.
        async with asyncio.timeout(TOLD_SECONDS):
            while len({*first.sequences, *second.sequences}) < last_sequence:
                await asyncio.sleep(0.05)

        # Then what was told is what the log has, each at least once, and signed
        logged = await _log(client)
        told = first.taken + second.taken
        assert {one.sequence for one in told} == logged.keys()
        for one in told:
            one.check(made["secret"])
            assert one.body["data"]["id"] == logged[one.sequence]
    assert await battered.audit_ok()


def _client(stage: Arena) -> aiohttp.ClientSession:
    token = stage.fleet.token(ACCOUNT)
    return aiohttp.ClientSession(
        stage.fleet.environment["SLUICE_API_URL"],
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=20),
    )


async def _made(client: aiohttp.ClientSession, receiver: Receiver) -> dict[str, str]:
    """The webhook, as soon as ingest knows its place."""
    body = {"url": receiver.url, "events": ["*"]}
    for _ in range(100):
        async with client.post("/v1/webhooks", json=body) as answer:
            if answer.status == 201:
                return dict(await answer.json())
        await asyncio.sleep(0.1)
    raise AssertionError(await answer.text())


async def _send(client: aiohttp.ClientSession, count: int) -> None:
    messages = [{"to": f"+3361234{number:04d}", "text": "told"} for number in range(count)]
    async with client.post("/v1/messages/batch", json={"messages": messages}) as answer:
        assert answer.status == 202, await answer.text()


async def _log(client: aiohttp.ClientSession) -> dict[int, str]:
    """Number and message of each event."""
    found: dict[int, str] = {}
    cursor = "0"
    while True:
        page = await _page(client, cursor)
        if not page["events"]:
            return found
        found |= {event["sequence"]: event["message_id"] for event in page["events"]}
        cursor = page["cursor"]


async def _page(client: aiohttp.ClientSession, cursor: str) -> dict[str, Any]:
    query = {"after": cursor, "limit": "1000"}
    async with client.get("/v1/events", params=query) as answer:
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


async def _log_end(client: aiohttp.ClientSession, message_count: int) -> int:
    """The last number, once so many messages have come to an end."""
    ended: set[str] = set()
    cursor = "0"
    async with asyncio.timeout(TOLD_SECONDS):
        while len(ended) < message_count:
            page = await _page(client, cursor)
            ended |= {one["message_id"] for one in page["events"] if one["status"] in ENDS}
            cursor = page["cursor"]
            await asyncio.sleep(0.1)
    return int(cursor)
