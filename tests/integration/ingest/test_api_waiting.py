"""Who asks with `wait` hears at once what comes, costs no connection, and is not waited for."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import prometheus_client
import pytest

from deploy.local.servers import Servers
from services.ingest.web import auth, waiters
from shared.db import events, inbound
from shared.db import tokens as stored_tokens
from shared.runtime import ids
from shared.sms.inbound import Alphabet, InboundText
from tests.integration.dlr.world import eventually
from tests.integration.ingest import world
from tests.integration.ingest.world import NUMBER, World
from tests.keys import SEALS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON_SECONDS = 1.0
"""It is 0.2 at most; a busy machine may take its time."""


async def _happen(town: World, account: str) -> None:
    """Something that all of an account's events tell of."""
    async with town.pool.acquire() as connection:
        account_id = await connection.fetchval(
            "SELECT account_id FROM accounts WHERE name = $1", account
        )
        await events.append(
            connection, [events.NewEvent(account_id, "webhook.disabled", ids.uuid7())]
        )


async def _cursor(town: World, account: str) -> str:
    return str((await town.get(account, "/v1/events?limit=1000"))["cursor"])


def _waiting_count() -> int:
    return int(prometheus_client.REGISTRY.get_sample_value("sluice_ingest_waiting_requests") or 0)


@asynccontextmanager
async def _waiting(
    town: World, account: str, count: int, path: str = "/v1/events"
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """So many requests of an account that wait, from now on."""
    before = _waiting_count()
    after = await _cursor(town, account) if path == "/v1/events" else 0
    asked = f"{path}?after={after}&wait=30"
    tasks = [asyncio.create_task(town.get(account, asked)) for _ in range(count)]

    async def all_wait() -> bool:
        return _waiting_count() == before + count

    await eventually(all_wait)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_comes_is_told_at_once_and_what_is_there_is_not_waited_for(town: World) -> None:
    async with _waiting(town, "bob", 2) as asked:
        await asyncio.sleep(0.5)
        assert not any(each.done() for each in asked)
        # When something happens to another, and then to it
        await _happen(town, "capped")
        await asyncio.sleep(0.3)
        assert not any(each.done() for each in asked)
        began_at = time.monotonic()
        await _happen(town, "bob")
        pages = await asyncio.gather(*asked)
    # Then that is told soon, and to who asks later at once
    assert time.monotonic() - began_at < SOON_SECONDS
    (event,) = pages[0]["events"]
    assert event["type"] == "webhook.disabled"
    assert pages[0] == pages[1]
    asked_at = time.monotonic()
    again = await town.get("bob", f"/v1/events?after={event['sequence'] - 1}&wait=30")
    assert again == pages[0]
    assert time.monotonic() - asked_at < SOON_SECONDS


async def test_nothing_is_an_empty_page_when_the_time_is_over(town: World) -> None:
    cursor = await _cursor(town, "bob")
    began_at = time.monotonic()
    page = await town.get("bob", f"/v1/events?after={cursor}&wait=1")
    assert page == {"events": [], "cursor": cursor}
    assert 0.9 <= time.monotonic() - began_at < 1 + SOON_SECONDS


@pytest.mark.parametrize(
    ("wait", "code"), [("31", "out_of_range"), ("-1", "out_of_range"), ("x", "wrong_type")]
)
async def test_a_wait_that_cannot_be_is_refused(town: World, wait: str, code: str) -> None:
    problem = await town.get("bob", f"/v1/events?wait={wait}", 422)
    assert (problem["code"], problem["field"]) == (code, "wait")


async def test_inbound_messages_are_waited_for_and_other_events_are_not(town: World) -> None:
    async with _waiting(town, "alice", 1, "/v1/inbound") as (asked,):
        await _happen(town, "alice")
        await asyncio.sleep(0.3)
        assert not asked.done()
        said = InboundText("oui", None, Alphabet.GSM7, ())
        new = inbound.new_inbound(ids.uuid7(), (1, "+33612345678", NUMBER), said, 1, None)
        async with town.pool.acquire() as connection:
            await inbound.insert(connection, SEALS, [new])
        page = await asyncio.wait_for(asked, SOON_SECONDS)
    assert [each["text"] for each in page["inbound"]] == ["oui"]


async def test_who_waits_holds_no_connection_and_few_of_an_account_may(town: World) -> None:
    # Given more who wait than ingest has connections
    async with (
        _waiting(town, "alice", waiters.ACCOUNT_COUNT_MAX),
        _waiting(town, "bob", waiters.ACCOUNT_COUNT_MAX) as of_bob,
    ):
        # Then others are served as ever
        began_at = time.monotonic()
        for _ in range(5):
            await town.get("alice", "/v1/balance")
        assert time.monotonic() - began_at < SOON_SECONDS
        # And one more of the account is told so, unless there is something for it
        cursor = await _cursor(town, "alice")
        problem = await town.get("alice", f"/v1/events?after={cursor}&wait=1", 429)
        assert problem["code"] == "too_many_waiting"
        await _happen(town, "alice")
        page = await town.get("alice", f"/v1/events?after={cursor}&wait=1")
        assert len(page["events"]) == 1
        # When clients go away, Then they are forgotten, and others may wait
        for task in of_bob:
            task.cancel()

        async def nobody_waits() -> bool:
            return _waiting_count() == 0

        await eventually(nobody_waits)
    async with _waiting(town, "bob", 1):
        pass


async def test_what_is_too_old_to_be_kept_is_not_taken_for_new(town: World) -> None:
    # Given an account whose events, to the fifth, have all gone for their age
    await town.pool.execute(
        "UPDATE event_heads SET last_sequence = 5"
        " WHERE account_id = (SELECT account_id FROM accounts WHERE name = 'special')"
    )
    # When it asks from the beginning, Then it waits for what comes
    task = asyncio.create_task(town.get("special", "/v1/events?wait=30"))
    await asyncio.sleep(0.5)
    assert not task.done()
    await _happen(town, "special")
    page = await asyncio.wait_for(task, SOON_SECONDS)
    assert [each["sequence"] for each in page["events"]] == [6]


async def test_a_token_that_is_revoked_meanwhile_hears_nothing(town: World) -> None:
    name = uuid.uuid4().hex
    token = await town.new_token("bob", name)
    cursor = await _cursor(town, "bob")
    asked = town.client.get(
        f"/v1/events?after={cursor}&wait=30", headers={"Authorization": f"Bearer {token}"}
    )
    task = asyncio.ensure_future(asked)

    async def it_waits() -> bool:
        return _waiting_count() == 1

    await eventually(it_waits)
    async with town.pool.acquire() as connection:
        account_id = await connection.fetchval("SELECT account_id FROM accounts WHERE name = 'bob'")
        assert await stored_tokens.revoke(connection, account_id, name)
    await asyncio.sleep(auth.CACHE_SECONDS + 0.1)
    await _happen(town, "bob")
    async with await task as answer:
        assert answer.status == 401


async def test_who_waits_is_answered_when_ingest_ends(servers: Servers) -> None:
    async with AsyncExitStack() as client_stack:
        async with world.running(servers) as town:
            client = await client_stack.enter_async_context(aiohttp.ClientSession())
            url = f"http://127.0.0.1:{town.port}/v1/events?wait=30"
            task = asyncio.ensure_future(client.get(url, headers=town.bearer("bob")))

            async def it_waits() -> bool:
                return _waiting_count() == 1

            await eventually(it_waits)
            began_at = time.monotonic()
        # Then neither waits for the other
        async with await task as answer:
            assert await answer.json() == {"events": [], "cursor": "0"}
        assert time.monotonic() - began_at < 5
