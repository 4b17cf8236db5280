"""Webhooks over the API: made, watched, changed, deleted, by their owner and nobody else."""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

import pytest

from services.ingest.native import routes
from shared.db import apply, configuration, webhooks
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "https://hooks.example.com/sms"
BODY = {"url": URL, "events": ["message.*", "inbound.received"]}


OF_ONE = (
    ("GET", "", None),
    ("PATCH", "", {"state": "disabled"}),
    ("DELETE", "", None),
    ("POST", "/rotate", None),
    ("POST", "/replay?after=0", None),
    ("GET", "/tries", None),
)
"""Every operation on one webhook."""


async def ask(
    town: World, account: str, method: str, path: str, status: int, body: object = None
) -> Any:
    """The answer to a request, which must have this status."""
    async with town.client.request(method, path, headers=town.bearer(account), json=body) as answer:
        assert answer.status == status, await answer.text()
        return None if status == 204 else await answer.json(content_type=None)


async def created(town: World, account: str = "alice", **members: object) -> dict[str, Any]:
    """A new webhook."""
    found: dict[str, Any] = await ask(
        town, account, "POST", "/v1/webhooks", 201, {**BODY, **members}
    )
    return found


async def emptied(town: World, account: str) -> None:
    """Delete all webhooks of an account."""
    for each in (await ask(town, account, "GET", "/v1/webhooks", 200))["webhooks"]:
        await ask(town, account, "DELETE", f"/v1/webhooks/{each['id']}", 204)


async def test_a_webhook_is_made_and_its_secret_shown_once(town: World) -> None:
    # When a webhook is made
    made = await created(town)

    # Then its secret is one of Standard Webhooks, and is seen no more, in the database neither
    secret = made.pop("secret")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert (made["url"], made["events"], made["state"]) == (URL, BODY["events"], "active")
    path = f"/v1/webhooks/{made['id']}"
    assert await ask(town, "alice", "GET", path, 200) == made
    listed = await ask(town, "alice", "GET", "/v1/webhooks", 200)
    assert made in listed["webhooks"]
    sealed = await town.pool.fetchval(
        "SELECT sealed_secret FROM webhooks WHERE webhook_id = $1", uuid.UUID(made["id"])
    )
    assert secret.encode() not in sealed
    await emptied(town, "alice")


async def test_a_secret_is_rotated_and_the_old_one_good_for_a_while(town: World) -> None:
    made = await created(town)
    path = f"/v1/webhooks/{made['id']}"
    rotated = await ask(town, "alice", "POST", f"{path}/rotate", 200)
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secret_until"] > rotated["updated_at"]
    await emptied(town, "alice")


async def test_a_webhook_is_changed_and_deleted(town: World) -> None:
    made = await created(town)
    path = f"/v1/webhooks/{made['id']}"

    # When it is disabled, and gets another URL and events
    change = {"state": "disabled", "url": URL + "/2", "events": ["*", "*"]}
    changed = await ask(town, "alice", "PATCH", path, 200, change)
    assert (changed["state"], changed["reason"]) == ("disabled", "by_owner")
    assert (changed["url"], changed["events"]) == (URL + "/2", ["*"])

    # Then it can be enabled again, and deleted once
    enabled = await ask(town, "alice", "PATCH", path, 200, {"state": "active"})
    assert (enabled["state"], enabled["reason"]) == ("active", "")
    await ask(town, "alice", "DELETE", path, 204)
    for method in ("GET", "DELETE"):
        assert (await ask(town, "alice", method, path, 404))["code"] == "no_such_webhook"


async def test_another_accounts_webhook_is_not_there(town: World) -> None:
    path = "/v1/webhooks/{id}"
    assert {(method, path + ending.partition("?")[0]) for method, ending, _ in OF_ONE} == {
        (route.method, route.path) for route in routes.ROUTES if route.path.startswith(path)
    }

    # Given a webhook of alice, one that never was, and what is no id
    made = await created(town)
    paths = [f"/v1/webhooks/{name}" for name in (made["id"], uuid.uuid4(), "%00", "7")]

    # Then bob is told the same of all of them, whatever he asks
    for method, ending, body in OF_ONE:
        told = [await ask(town, "bob", method, path + ending, 404, body) for path in paths]
        assert all(each == told[0] for each in told)
        assert told[0]["code"] == "no_such_webhook"

    # And nothing became of it
    made.pop("secret")
    assert await ask(town, "alice", "GET", f"/v1/webhooks/{made['id']}", 200) == made
    assert (await ask(town, "bob", "GET", "/v1/webhooks", 200)) == {"webhooks": []}
    await emptied(town, "alice")


async def test_an_account_has_ten_at_most(town: World) -> None:
    await emptied(town, "bob")
    for _ in range(webhooks.COUNT_MAX):
        await created(town, "bob")
    refused = await ask(town, "bob", "POST", "/v1/webhooks", 409, BODY)
    assert refused["code"] == "too_many_webhooks"
    await emptied(town, "bob")


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"url": "http://hooks.example.com/"}, "invalid_url", "url"),
        ({"url": "https://127.0.0.1/"}, "invalid_url", "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "invalid_url", "url"),
        ({"url": "https://localhost/"}, "invalid_url", "url"),
        ({"url": "https://user:pw@hooks.example.com/"}, "invalid_url", "url"),
        ({"url": "https://hooks.example.com:22/"}, "invalid_url", "url"),
        ({"url": ""}, "wrong_length", "url"),
        ({"url": "https://hooks.example.com/" + "a" * 2_048}, "wrong_length", "url"),
        ({"url": 7}, "wrong_type", "url"),
        ({"events": []}, "wrong_length", "events"),
        ({"events": ["message.*", "message.sent"]}, "unknown_event", "events[1]"),
        ({"events": "message.*"}, "wrong_type", "events"),
        ({"secret": "mine"}, "unknown_field", "secret"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_stored(
    town: World, members: dict[str, object], code: str, field: str
) -> None:
    refused = await ask(town, "alice", "POST", "/v1/webhooks", 422, {**BODY, **members})
    assert (refused["code"], refused["field"]) == (code, field)
    assert (await ask(town, "alice", "GET", "/v1/webhooks", 200)) == {"webhooks": []}


async def test_a_place_that_the_operator_allows_needs_no_https(town: World) -> None:
    # Given a place inside that an operator allows
    url = "http://127.0.0.1:19000/hook"
    async with town.pool.acquire() as connection, connection.transaction():
        await apply.put(connection, apply.Egress(("127.0.0.1:19000",)), None)
        await configuration.bump(connection)

    # Then it can be a webhook's, as soon as ingest has read it; its neighbour cannot
    for _ in range(100):
        async with town.client.post(
            "/v1/webhooks", headers=town.bearer("alice"), json={**BODY, "url": url}
        ) as answer:
            if answer.status == 201:
                break
        await asyncio.sleep(0.05)
    assert answer.status == 201
    await ask(town, "alice", "POST", "/v1/webhooks", 422, {**BODY, "url": url.replace("0/", "1/")})
    await emptied(town, "alice")


async def test_a_replay_begins_at_an_event_that_there_is(town: World) -> None:
    made = await created(town)
    path = f"/v1/webhooks/{made['id']}/replay"
    assert (await ask(town, "alice", "POST", f"{path}?after=0", 202))["cursor"] == "0"
    refused = await ask(town, "alice", "POST", f"{path}?after=1000000", 422)
    assert (refused["code"], refused["field"]) == ("invalid_cursor", "after")
    assert (await ask(town, "alice", "POST", path, 422))["code"] == "missing_field"
    tries = await ask(town, "alice", "GET", f"/v1/webhooks/{made['id']}/tries", 200)
    assert tries == {"tries": [], "cursor": None}
    await emptied(town, "alice")
