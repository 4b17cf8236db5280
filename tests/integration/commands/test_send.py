"""`sluice send` against an API that stumbles, refuses and, once, forgets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from shared.runtime import ids
from shared.web import server
from tests.integration.commands.sluice import Command


@dataclass
class Producer:
    """A producer's view of the platform, as its API's description says: batches in, events out."""

    stumbles: list[int] = field(default_factory=list)
    """Statuses to answer before anything is accepted."""
    forgets: bool = False
    """Whether the last message never comes to an end."""
    keys: list[str] = field(default_factory=list)
    accepted: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, str]] = field(default_factory=list)

    async def batch(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        self.keys.append(request.headers["Idempotency-Key"])
        if self.stumbles:
            return web.json_response(
                {"code": "later", "detail": "Not now."},
                status=self.stumbles.pop(0),
                headers={"Retry-After": "0"},
            )
        results = [self._result(message) for message in (await request.json())["messages"]]
        if self.forgets:
            self.events.pop()
        balance = {"amount": "1.00", "currency": "EUR"}
        return web.json_response({"results": results, "balance": balance}, status=202)

    def _result(self, message: dict[str, str]) -> dict[str, object]:
        if message["to"] == "bad":
            fault = {"code": "invalid_recipient", "detail": "No number.", "field": "to"}
            return {"error": fault}
        self.accepted.append(message)
        message_id = str(ids.uuid7())
        status = "delivered" if len(self.accepted) % 2 else "undelivered"
        self.events.append({"message_id": message_id, "status": "submitted"})
        self.events.append({"message_id": message_id, "status": status})
        return {
            "id": message_id,
            "status": "queued",
            "segments": 2,
            "encoding": "gsm7",
            "price": "0.09",
            "currency": "EUR",
        }

    async def page(self, request: web.Request) -> web.Response:
        after = int(request.query["after"])
        fresh = self.events[after : after + 3]
        return web.json_response({"events": fresh, "cursor": str(after + len(fresh))})


@pytest.fixture
async def producer() -> Producer:
    return Producer()


@pytest.fixture
async def command(producer: Producer) -> AsyncIterator[Command]:
    app = web.Application()
    app.router.add_post("/v1/messages/batch", producer.batch)
    app.router.add_get("/v1/events", producer.page)
    async with server.listening(app, "127.0.0.1", 0) as port:
        yield Command({"SLUICE_API_URL": f"http://127.0.0.1:{port}", "SLUICE_TOKEN": "secret"})


def _job(folder: Path, *recipients: str) -> str:
    file = folder / "job.csv"
    file.write_text("to,text\n" + "".join(f"{to},hello\n" for to in recipients))
    return str(file)


async def test_a_job_is_followed_to_its_end_when_the_api_stumbles(
    command: Command, producer: Producer, tmp_path: Path
) -> None:
    # Given an API that is first unavailable and then busy
    producer.stumbles = [503, 429]

    # When four messages are sent and followed
    ended = await command("send", _job(tmp_path, "+1", "+2", "+3", "+4"), "--follow", "--json")

    # Then the request was repeated under one key, and everything is accounted for
    assert ended.code == 0, ended.errors
    assert len(producer.keys) == 3
    assert len(set(producer.keys)) == 1
    told = json.loads(ended.output)
    assert told["accepted"] == 4
    assert told["statuses"] == {
        "delivered": {"messages": 2, "segments": 4, "cost": "0.18"},
        "undelivered": {"messages": 2, "segments": 4, "cost": "0.18"},
    }
    assert told["lost"] == []


async def test_refused_messages_are_named_by_their_line(
    command: Command, producer: Producer, tmp_path: Path
) -> None:
    ended = await command("send", _job(tmp_path, "+1", "bad", "+3"), "--follow")
    assert ended.code == 2
    assert "line 3 was refused: invalid_recipient: No number." in ended.output
    assert len(producer.accepted) == 2


async def test_a_message_that_never_ends_is_lost(
    command: Command, producer: Producer, tmp_path: Path
) -> None:
    producer.forgets = True
    ended = await command("send", _job(tmp_path, "+1", "+2"), "--follow", "--timeout", "1")
    assert ended.code == 1
    assert "1 messages did not end within 1 s" in ended.output


async def test_a_large_file_goes_in_several_batches(
    command: Command, producer: Producer, tmp_path: Path
) -> None:
    ended = await command("send", _job(tmp_path, *("+1" for _ in range(2_500))), "--json")
    assert ended.code == 0, ended.errors
    assert len(producer.accepted) == 2_500
    assert len(set(producer.keys)) == 3


async def test_nothing_is_sent_when_the_token_is_refused(
    producer: Producer, command: Command, tmp_path: Path
) -> None:
    producer.stumbles = [401]
    ended = await command("send", _job(tmp_path, "+1"))
    assert ended.code == 2
    assert "the API answered 401 later: Not now.; 0 messages had been accepted" in ended.errors
