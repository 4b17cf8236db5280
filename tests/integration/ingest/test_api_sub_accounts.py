"""Sub-accounts send at their main account's cost, and see neither its money nor its messages."""

from __future__ import annotations

import asyncio
import re
import uuid

import pytest

from tests.integration.ingest.people import account_id, call
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _sub(town: World, main: str) -> tuple[str, int]:
    """A sub-account of this one with a token and a line; its name, which is also its token's."""
    name = f"s{uuid.uuid4().hex[:8]}"
    made = await call(town, main, "POST", "/v1/accounts", {"name": name}, status=201)
    path = f"/v1/accounts/{made['id']}/tokens"
    token = await call(town, main, "POST", path, {"name": "till"}, status=201)
    town.tokens[made["name"]] = token["token"]
    await town.pool.execute(
        "INSERT INTO lines (account_id, sender, kind, country, is_default, hour_limit, day_limit, "
        "month_limit) VALUES ($1, 'Sub', 'alphanumeric', 'FR', true, 1000, 1000, 1000)",
        made["id"],
    )
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await asyncio.sleep(1.2)
    return made["name"], made["id"]


async def test_m08_a_sub_account_sends_at_its_main_accounts_cost_and_sees_no_money(
    town: World,
) -> None:
    # Given a sub-account
    name, sub_id = await _sub(town, "alice")
    before = (await town.get("alice", "/v1/balance"))["amount"]
    day = "SELECT coalesce(sum(segment_count), 0) FROM usage_by_slot WHERE account_id = $1"
    main_id = await account_id(town, "alice")
    used = await town.pool.fetchval(day, main_id)

    # When it sends, alone and with its main account in the same transaction, one and many
    body = {"to": "+33612345678", "text": "Hello"}
    both = await asyncio.gather(
        *(town.post(who, "/v1/messages", body) for who in (name, "alice") * 5)
    )
    batch = await town.post(name, "/v1/messages/batch", {"messages": [body] * 3})

    # Then it is told no balance, and the main account has paid for all of it
    assert all(("balance" in told) is (place % 2 == 1) for place, told in enumerate(both))
    assert "balance" not in batch
    after = (await town.get("alice", "/v1/balance"))["amount"]
    assert round(float(before) - float(after), 6) == round(13 * 0.0453, 6)
    assert await town.pool.fetchval(day, main_id) == used + 13
    assert await town.pool.fetchval(day, sub_id) == 0

    # And neither sees the other's messages
    sent = both[0]["id"]
    assert (await town.get(name, f"/v1/messages/{sent}"))["id"] == sent
    await town.get("alice", f"/v1/messages/{sent}", status=404)
    await town.get(name, f"/v1/messages/{both[1]['id']}", status=404)

    # And what is of tokens and money answers to main accounts only
    for path in ("/v1/tokens", "/v1/balance", "/v1/accounts"):
        assert (await town.get(name, path, status=403))["code"] == "main_account_only"
    home = await town.get(name, "/v1/account")
    assert home == {
        "name": name,
        "kind": "sub",
        "you": {"scopes": ["read", "send", "admin"]},
    }


async def test_m08_what_the_main_account_cannot_pay_its_sub_account_cannot_send(
    town: World,
) -> None:
    # Given main accounts without money, and at the end of their day
    body = {"to": "+33612345678", "text": "Hello"}
    for main, status, code in (
        ("poor", 402, "insufficient_funds"),
        ("capped", 429, "daily_limit_reached"),
    ):
        name, _ = await _sub(town, main)
        if main == "capped":
            await town.post(main, "/v1/messages", body)
            await town.post(name, "/v1/messages", body)
        books = await town.books()
        told = await town.post(name, "/v1/messages", body, status=status)
        assert told["code"] == code
        assert await town.books() == books


async def test_m08_a_sub_account_follows_its_main_account_into_another_currency(
    town: World,
) -> None:
    name, sub_id = await _sub(town, "special")
    main_id = await account_id(town, "special")
    await town.pool.execute("UPDATE accounts SET currency = 'USD' WHERE account_id = $1", main_id)
    try:
        assert (
            await town.pool.fetchval("SELECT currency FROM accounts WHERE account_id = $1", sub_id)
            == "USD"
        )
    finally:
        await town.pool.execute(
            "UPDATE accounts SET currency = 'EUR' WHERE account_id = $1", main_id
        )
    assert (await town.get(name, "/v1/account"))["kind"] == "sub"


async def test_sub_accounts_are_their_main_accounts_alone(town: World) -> None:
    # Given a sub-account of Alice
    name, sub_id = await _sub(town, "alice")
    listed = await town.get("alice", "/v1/accounts")
    assert (sub_id, name) in [(each["id"], each["name"]) for each in listed["accounts"]]
    assert re.fullmatch(r"alice/s[0-9a-f]{8}", name)

    # Then Bob has none of it, and may have one of the same name
    unknown = await town.get("bob", "/v1/accounts/2000000000", status=404)
    assert await town.get("bob", f"/v1/accounts/{sub_id}", status=404) == unknown
    for method in ("GET", "POST"):
        path = f"/v1/accounts/{sub_id}/tokens"
        assert await call(town, "bob", method, path, {"name": "x"}, status=404) == unknown
    own = {"name": name.removeprefix("alice/")}
    await call(town, "bob", "POST", "/v1/accounts", own, status=201)
    told = await call(town, "alice", "POST", "/v1/accounts", own, status=409)
    assert told["code"] == "account_name_taken"

    # And a name that is none makes none
    for bad in ("", "A", "a/b", "a b", "ab\n", "é", "x" * 41):
        await call(town, "alice", "POST", "/v1/accounts", {"name": bad}, status=422)
