"""What is read: one's own messages and events, in pages that miss nothing; never another's."""

from __future__ import annotations

import itertools
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from services.ingest.native import routes
from services.ingest.native.route import Route
from services.ingest.web.entrance import Visit
from shared.db import events, segments
from shared.sms.states import SegmentState
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

_references = itertools.count()


async def _send(town: World, account: str = "alice", **members: str) -> dict[str, Any]:
    body = {"to": "+33612345678", "text": "hi"} | members
    sent: dict[str, Any] = await town.post(account, "/v1/messages", body)
    return sent


async def _happen(town: World, message_id: str, *words: str) -> None:
    """Let a message's segment come to these states, as the dispatcher and dlr do."""
    async with town.pool.acquire() as connection, connection.transaction():
        for word in words:
            state = SegmentState(word)
            await segments.settle(connection, [segments.Evidence(uuid.UUID(message_id), 1, state)])


async def test_every_event_is_read_once_when_cursors_are_followed(town: World) -> None:
    message_id = (await _send(town))["id"]
    start = (await town.get("alice", "/v1/events?limit=1000"))["cursor"]
    await _happen(town, message_id, "parked", "submitting", "submitted", "delivered")

    read: list[dict[str, Any]] = []
    cursor = start
    while (page := await town.get("alice", f"/v1/events?after={cursor}&limit=2"))["events"]:
        read += page["events"]
        cursor = page["cursor"]

    assert [event["status"] for event in read] == ["parked", "queued", "submitted", "delivered"]
    assert [event["sequence"] for event in read] == [int(start) + n for n in (1, 2, 3, 4)]
    assert {event["type"] for event in read} == {f"message.{each['status']}" for each in read}
    assert set(read[0]) == {
        "sequence",
        "type",
        "message_id",
        "status",
        "reason",
        "reference",
        "created_at",
    }
    assert {event["message_id"] for event in read} == {message_id}
    assert page["cursor"] == cursor == str(int(start) + 4)


@pytest.mark.parametrize(
    ("kind", "id_name"),
    [
        ("inbound.received", "inbound_id"),
        ("opt_out.created", "opt_out_id"),
        ("opt_out.deleted", "opt_out_id"),
        ("webhook.disabled", "webhook_id"),
    ],
)
async def test_an_event_names_what_it_is_about(town: World, kind: str, id_name: str) -> None:
    start = (await town.get("alice", "/v1/events?limit=1000"))["cursor"]
    subject_id = uuid.uuid4()
    async with town.pool.acquire() as connection:
        account_id = await connection.fetchval(
            "SELECT account_id FROM accounts WHERE name = 'alice'"
        )
        await events.append(connection, [events.NewEvent(account_id, kind, subject_id, "why")])
    (event,) = (await town.get("alice", f"/v1/events?after={start}"))["events"]
    assert event.pop("created_at")
    assert event == {
        "sequence": int(start) + 1,
        "type": kind,
        id_name: str(subject_id),
        "reason": "why",
        "reference": None,
    }


async def test_the_cursor_stays_when_nothing_happened(town: World) -> None:
    assert await town.get("capped", "/v1/events") == {"events": [], "cursor": "0"}
    assert await town.get("capped", "/v1/events?after=7") == {"events": [], "cursor": "7"}


async def test_pages_hold_every_message_once_when_they_are_followed(town: World) -> None:
    reference = f"page-{next(_references)}"
    sent = [(await _send(town, reference=reference))["id"] for _ in range(5)]

    path = f"/v1/messages?reference={reference}&limit=2"
    pages = [await town.get("alice", path)]
    while pages[-1]["cursor"]:
        pages.append(await town.get("alice", f"{path}&cursor={pages[-1]['cursor']}"))

    listed = [message["id"] for page in pages for message in page["messages"]]
    assert listed == sent[::-1]
    assert [len(page["messages"]) for page in pages] == [2, 2, 1]


async def test_the_last_page_says_so_when_it_is_full(town: World) -> None:
    reference = f"full-{next(_references)}"
    for _ in range(2):
        await _send(town, reference=reference)
    page = await town.get("alice", f"/v1/messages?reference={reference}&limit=2")
    assert page["cursor"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=queued", True),
        ("status=delivered", False),
        ("to=%2B33612345678", True),
        ("to=%2B33612345679", False),
        ("created_from=2020-01-01T00:00:00Z", True),
        ("created_from=2099-01-01T00:00:00Z", False),
        ("created_until=2099-01-01T00:00:00%2B02:00", True),
        ("created_until=2020-01-01T00:00:00Z", False),
    ],
)
async def test_messages_are_filtered_when_the_query_says_so(
    town: World, query: str, found: bool
) -> None:
    reference = f"filter {next(_references)} &é"
    sent = await _send(town, reference=reference)

    page = await town.get("alice", f"/v1/messages?reference={quote(reference)}&{query}")

    assert [message["id"] for message in page["messages"]] == ([sent["id"]] if found else [])


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in routes.ROUTES
        if route.method == "GET" and route.path.startswith("/v1/messages/{id}")
    ],
    ids=lambda route: route.path,
)
async def test_another_accounts_message_is_as_absent_as_one_that_never_was(
    town: World, route: Route[Visit]
) -> None:
    message_id = (await _send(town, "alice"))["id"]
    own = await town.get("alice", route.path.format(id=message_id))
    assert own.get("message", own)["id"] == message_id

    foreign = await town.get("bob", route.path.format(id=message_id), status=404)
    unknown = await town.get("bob", route.path.format(id=uuid.uuid4()), status=404)

    assert foreign == unknown


async def test_nothing_of_another_account_is_listed(town: World) -> None:
    reference = f"mine-{next(_references)}"
    sent = await _send(town, "alice", reference=reference)
    await _happen(town, sent["id"], "parked")

    for query in ("", f"?reference={reference}", "?to=%2B33612345678", "?status=queued"):
        page = await town.get("lineless", f"/v1/messages{query}")
        assert page == {"messages": [], "cursor": None}
    # A cursor is a place, not a permission.
    page = await town.get("lineless", f"/v1/messages?cursor={uuid.UUID(int=2**128 - 1)}")
    assert page["messages"] == []
    assert (await town.get("lineless", "/v1/events"))["events"] == []


async def test_the_description_is_served_to_everyone(town: World) -> None:
    async with town.client.get("/openapi.json") as answer:
        assert answer.status == 200
        assert await answer.read() == routes.DOCUMENT.read_bytes()


async def test_only_the_head_comes_when_the_head_was_asked(town: World) -> None:
    async with town.client.head("/v1/balance", headers=town.bearer("alice")) as answer:
        assert answer.status == 200
        assert await answer.read() == b""
