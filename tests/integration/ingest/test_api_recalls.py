"""A producer changes its mind: another time, or no message at all."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.db import work
from tests.integration.ingest.world import JSON, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _in(**delta: int) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


async def _scheduled(town: World, account: str = "alice") -> str:
    body = {"to": "+33612345678", "text": "hi", "send_at": _in(days=1), "valid_for": 60}
    return str((await town.post(account, "/v1/messages", body))["id"])


async def _patch(town: World, path: str, body: object, status: int, account: str = "alice") -> Any:
    headers = town.bearer(account) | JSON
    async with town.client.patch(path, headers=headers, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def test_a_scheduled_message_gets_another_time(town: World) -> None:
    message_id = await _scheduled(town)
    send_at = datetime.now(UTC) + timedelta(days=2)
    changed = await _patch(
        town, f"/v1/messages/{message_id}", {"send_at": send_at.isoformat()}, 200
    )
    assert datetime.fromisoformat(changed["send_at"]) == send_at
    assert datetime.fromisoformat(changed["expires_at"]) == send_at + timedelta(seconds=60)
    assert changed == await town.get("alice", f"/v1/messages/{message_id}")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"send_at": _in(days=-1)}, "send_at_passed"),
        ({"send_at": _in(days=36)}, "send_at_too_far"),
        ({"send_at": "tomorrow"}, "invalid_time"),
        ({}, "missing_field"),
        ({"send_at": _in(days=2), "text": "other"}, "unknown_field"),
    ],
)
async def test_a_time_that_is_none_changes_nothing(
    town: World, body: dict[str, str], code: str
) -> None:
    message_id = await _scheduled(town)
    before = await town.get("alice", f"/v1/messages/{message_id}")
    refused = await _patch(town, f"/v1/messages/{message_id}", body, 422)
    assert refused["code"] == code
    assert await town.get("alice", f"/v1/messages/{message_id}") == before


async def test_a_canceled_message_is_refunded_once_and_stays_to_be_read(town: World) -> None:
    before = await town.get("alice", "/v1/balance")
    message_id = await _scheduled(town)
    for _ in range(2):
        canceled = await town.post("alice", f"/v1/messages/{message_id}/cancel", None, 200)
        assert (canceled["status"], canceled["reason"]) == ("canceled", "canceled_by_account")
        assert [part["refunded"] for part in canceled["parts"]] == [True]
    assert await town.get("alice", "/v1/balance") == before
    # and has no time any more
    refused = await _patch(town, f"/v1/messages/{message_id}", {"send_at": _in(days=2)}, 409)
    assert (refused["code"], refused["message_status"]) == ("not_scheduled", "canceled")


async def test_what_has_left_is_neither_moved_nor_canceled(town: World) -> None:
    message_id = await _scheduled(town)
    async with town.pool.acquire() as opened:
        await work.take(opened, [uuid.UUID(message_id)])
        await opened.execute(
            "UPDATE messages SET status = 'submitted' WHERE message_id = $1", uuid.UUID(message_id)
        )
    refused = await town.post("alice", f"/v1/messages/{message_id}/cancel", None, 409)
    assert (refused["code"], refused["message_status"]) == ("already_left", "submitted")
    refused = await _patch(town, f"/v1/messages/{message_id}", {"send_at": _in(days=2)}, 409)
    assert (refused["code"], refused["message_status"]) == ("not_scheduled", "submitted")


async def test_others_messages_are_none(town: World) -> None:
    foreign = await _scheduled(town, "bob")
    for path in (foreign, str(uuid.uuid4()), "nonsense"):
        refused = await town.post("alice", f"/v1/messages/{path}/cancel", None, 404)
        assert refused["code"] == "no_such_message"
        refused = await _patch(town, f"/v1/messages/{path}", {"send_at": _in(days=2)}, 404)
        assert refused["code"] == "no_such_message"
    assert (await town.get("bob", f"/v1/messages/{foreign}"))["status"] == "scheduled"
