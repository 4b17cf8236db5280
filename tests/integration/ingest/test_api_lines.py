"""Lines over the API: an account's own, what is used of their limits, and by whose word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from deploy.local.servers import Servers
from shared.broker.envelopes import WorkItem
from shared.db import apply, configuration, limits
from shared.limits import limiter, permits
from shared.runtime import ids, redis_link
from tests.integration.ingest.world import NUMBER, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def lines(town: World, account: str) -> dict[str, Any]:
    page = await town.get(account, "/v1/lines")
    return {line["sender"]: line for line in page["lines"]}


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await reached():
            await asyncio.sleep(0.1)


async def test_a07_an_account_reads_its_lines_and_what_they_are_declared_for(town: World) -> None:
    # Given a line of which something is said
    async with town.pool.acquire() as opened, opened.transaction():
        before = await apply.find_line(opened, account="alice", sender=NUMBER)
        assert before is not None
        told = apply.Line(
            *("alice", NUMBER, "mobile", "FR", False, 10_000, 10_000, 10_000),
            name="Support",
            use_case="answers to callers",
            purpose="conversation",
        )
        await apply.put(opened, told, before)
        await configuration.bump(opened)

    # When the account asks, Then it reads it, page by page, and nobody else's
    async def is_told() -> bool:
        return bool((await lines(town, "alice"))[NUMBER]["name"] == "Support")

    await until(is_told)
    found = (await lines(town, "alice"))[NUMBER]
    assert (found["use_case"], found["purpose"]) == ("answers to callers", "conversation")
    assert (found["kind"], found["country"], found["mode"]) == ("mobile", "FR", "application")
    assert (found["capabilities"], found["time_zone"]) == (["sms"], "Europe/Paris")
    assert found["registration"]["state"] == "none"
    assert await town.get("alice", f"/v1/lines/{found['id']}") == found
    pages: list[Any] = []
    cursor: int | None = 0
    while cursor is not None:
        page = await town.get("alice", f"/v1/lines?limit=1&cursor={cursor}")
        pages += page["lines"]
        cursor = page["cursor"]
    assert [line["sender"] for line in pages] == ["Sluice", "Narrow", NUMBER]
    assert (await town.get("lineless", "/v1/lines")) == {"lines": [], "cursor": None}


@pytest.mark.parametrize("path", ["", "/limits"])
async def test_a_foreign_line_is_answered_as_one_that_is_not_there(town: World, path: str) -> None:
    # Given a line of another account, and ids of none
    foreign = (await lines(town, "alice"))[NUMBER]["id"]
    nobody = (999_999, 0, 2**40, "x", "%2B33698765432")

    # When both are asked for, many times by turns
    answers: dict[object, list[tuple[float, Any]]] = {foreign: [], 999_999: []}
    for _ in range(100):
        for line_id, seen in answers.items():
            began = time.perf_counter()
            body = await town.get("bob", f"/v1/lines/{line_id}{path}", 404)
            seen.append((time.perf_counter() - began, body))

    # Then the answers are the same, and take as long
    bodies = [body for seen in answers.values() for _, body in seen]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["code"] == "no_such_line"
    took = [median(seconds for seconds, _ in seen) for seen in answers.values()]
    assert max(took) < 1.5 * min(took) + 0.001
    for line_id in nobody:
        assert await town.get("bob", f"/v1/lines/{line_id}{path}", 404) == bodies[0]


async def test_a21_limits_are_shown_in_segments_by_the_limiter_and_else_by_the_records(
    town: World, servers: Servers
) -> None:
    # Given a line whose limiter knows nothing of it, and records of three segments
    line_id = (await lines(town, "alice"))["Narrow"]["id"]
    minute = int(time.time()) // 60
    async with town.pool.acquire() as opened, opened.transaction():
        account_id = await opened.fetchval("SELECT account_id FROM accounts WHERE name = 'alice'")
        scopes = limiter.scope_names(line_id, account_id, "DE")
        await limits.charge(opened, UUID(int=1), {(scopes[0], minute): 2, (scopes[2], minute): 1})
        for row in (
            apply.CountryLimit("alice", "DE", None, 5, None),
            apply.CountryLimit("bob", "DE", None, 5, None),
            apply.CountryLimit(None, "DE", None, 5, None),
        ):
            await apply.put(opened, row, None)
        await configuration.bump(opened)
    path = f"/v1/lines/{line_id}/limits"

    async def is_limited() -> bool:
        return len((await town.get("alice", path))["limits"]) == 2

    await until(is_limited)

    # When its account looks, Then the records tell, of its own limits only
    shown = await town.get("alice", path)
    assert [(each["scope"], each["country"]) for each in shown["limits"]] == [
        ("line", None),
        ("account_country", "DE"),
    ]
    line, country = shown["limits"]
    assert {line["source"], country["source"]} == {"records"}
    assert [(w["window"], w["limit"], w["used"], w["left"]) for w in line["windows"]] == [
        ("hour", 2, 2, 0),
        ("day", 1_000, 2, 998),
        ("month", 1_000, 2, 998),
    ]
    assert [(w["limit"], w["used"], w["left"]) for w in country["windows"]] == [
        (None, 1, None),
        (5, 1, 4),
        (None, 1, None),
    ]

    # When a dispatcher has asked for a permit, Then the limiter tells, by the segment
    async with redis_link.connect(servers.redis_url) as link:
        taking = limiter.Limiter(town.pool, permits.Permits(link))
        item = WorkItem(ids.uuid7(), account_id, line_id, "DE", 3, 0)
        await town.pool.execute(
            "UPDATE lines SET hour_limit = 9, second_limit = 50 WHERE line_id = $1", line_id
        )
        async with town.pool.acquire() as opened, opened.transaction():
            await configuration.bump(opened)
        async with town.pool.acquire() as opened:
            current = await configuration.load(opened)
        (permit,) = await taking.take(current, [item])
        assert isinstance(permit, limiter.Permit)

    async def is_raised() -> bool:
        shown = await town.get("alice", path)
        return bool(shown["limits"][0]["windows"][0]["limit"] == 9)

    await until(is_raised)
    shown = await town.get("alice", path)
    line, country = shown["limits"]
    assert {line["source"], country["source"]} == {"limiter"}
    hour, *_, second = line["windows"]
    assert (hour["used"], hour["left"]) == (5, 4)
    assert country["windows"][1]["used"] == 4
    assert hour["next_return_at"] > shown["as_of"]

    # And of a line that is limited by the second, how much of that is left
    assert (second["window"], second["limit"]) == ("second", 50)
    assert second["left"] == 50 - second["used"] >= 45
