"""What an operator reads of ingest, and who else may not."""

from __future__ import annotations

import re
import uuid

import prometheus_client
import pytest

from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {"to": "+33612345678", "text": "Hello"}
BAD = GOOD | {"from": "Nobody"}


def _value(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


def _told() -> dict[str, float]:
    """What this test moves."""
    return {
        "accepted": _value("sluice_ingest_accepted_messages_total"),
        **{
            code: _value("sluice_ingest_refused_total", code=code)
            for code in ("unknown_sender", "unauthorized", "no_such_path")
        },
        **{
            f"{route} {status}": _value(
                "sluice_ingest_answer_seconds_count", route=route, status=status
            )
            for route, status in (
                ("POST /v1/messages", "2xx"),
                ("POST /v1/messages", "4xx"),
                ("POST /v1/messages/batch", "2xx"),
                ("GET /v1/messages/{id}", "4xx"),
                ("(none)", "4xx"),
            )
        },
    }


async def test_answers_are_counted_by_route_and_refusals_by_code(town: World) -> None:
    # Given what was counted before
    before = _told()

    # When a message is accepted, others refused, alone and in a batch, and strangers ask
    await town.post("alice", "/v1/messages", GOOD)
    await town.post("alice", "/v1/messages", BAD, status=422)
    await town.post("alice", "/v1/messages/batch", {"messages": [GOOD, BAD, GOOD]})
    await town.get("alice", f"/v1/messages/{uuid.uuid4()}", status=404)
    async with town.client.get("/v1/balance") as answer:
        assert answer.status == 401
    async with town.client.get(f"/v1/{uuid.uuid4()}") as answer:
        assert answer.status == 404

    # Then each is counted once, where it belongs
    moved = {name: value - before[name] for name, value in _told().items()}
    assert moved == {
        "accepted": 3,
        "unknown_sender": 2,
        "unauthorized": 1,
        "no_such_path": 1,
        "POST /v1/messages 2xx": 1,
        "POST /v1/messages 4xx": 1,
        "POST /v1/messages/batch 2xx": 1,
        "GET /v1/messages/{id} 4xx": 1,
        "(none) 4xx": 1,
    }


async def test_counts_are_told_to_operators_alone_and_name_nobody(town: World) -> None:
    message_id = (await town.post("alice", "/v1/messages", GOOD))["id"]
    await town.get("alice", f"/v1/messages/{message_id}")

    async with town.client.get("/metrics") as answer:
        assert answer.status == 404
    async with town.client.get(f"http://127.0.0.1:{town.metrics_port}/metrics") as answer:
        told = await answer.text()
    assert "sluice_ingest_backlog_messages" in told
    assert "sluice_web_connections" in told
    for private in ("alice", message_id, GOOD["to"].removeprefix("+"), GOOD["text"]):
        assert not re.search(rf'"[^"]*{re.escape(private)}', told)
