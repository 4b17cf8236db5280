"""When a message is to leave, as its producer is told: before it is paid for, with the answer, and
while it waits."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.departures import DepartureForecasts
from shared.db import apply, configuration, connection, watch
from shared.rules.compose import VALID_SECONDS_DEFAULT
from shared.runtime import ids
from tests.drafts import draft
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count()
HOUR = timedelta(hours=1)
SLACK = timedelta(minutes=4)
"""Of up to three hours: each ends with its slot of a minute, and ten seconds later."""
SEEN_SECONDS = 20.0


async def _line(town: World, hour_limit: int) -> str:
    """A further line of Alice's that ingest knows of."""
    sender = f"Waits{next(_numbers)}"
    async with town.pool.acquire() as opened, opened.transaction():
        limits = (hour_limit, 1_000, 1_000)
        row = apply.Line("alice", sender, "alphanumeric", "FR", False, *limits)
        await apply.put(opened, row, None)
        await configuration.bump(opened)
    await _until(town, _body(sender, dry_run=True), 200)
    return sender


async def _until(town: World, body: dict[str, Any], status: int) -> None:
    """Send this until it has this answer, as the configuration comes to be known."""
    async with asyncio.timeout(SEEN_SECONDS):
        while True:
            headers = town.bearer("alice")
            async with town.client.post("/v1/messages", headers=headers, json=body) as answer:
                if answer.status == status:
                    return
            await asyncio.sleep(0.05)


def _body(sender: str, **members: object) -> dict[str, Any]:
    return {"to": "+33612345678", "text": "hi", "from": sender} | members


def _wait(answer: dict[str, Any], member: str = "estimated_departure_at") -> timedelta:
    return datetime.fromisoformat(answer[member]) - datetime.now(UTC)


def _is_about(wait: timedelta, wanted: timedelta) -> bool:
    return abs(wait - wanted) < SLACK


async def _stand(town: World, sent: dict[str, Any], state: str) -> None:
    """As the dispatcher leaves a message: parked, or gone with a claim that is charged."""
    message_id = uuid.UUID(sent["id"])
    if state == "parked":
        await town.pool.execute(
            "UPDATE work SET state = 'parked' WHERE message_id = $1", message_id
        )
        return
    await town.pool.execute(
        "WITH gone AS (DELETE FROM work WHERE message_id = $1 RETURNING line_id, segment_count)"
        " INSERT INTO limit_usage (scope, minute, worker_id, segment_count)"
        " SELECT 'line:' || line_id, extract(epoch FROM now())::bigint / 60, $2, segment_count"
        " FROM gone",
        message_id,
        ids.uuid7(),
    )


async def test_where_there_is_room_a_message_leaves_now_or_at_its_time(town: World) -> None:
    sender = await _line(town, 100)
    sent = await town.post("alice", "/v1/messages", _body(sender))
    assert _is_about(_wait(sent), timedelta())
    send_at = datetime.now(UTC) + timedelta(days=1)
    later = await town.post("alice", "/v1/messages", _body(sender, send_at=send_at.isoformat()))
    assert datetime.fromisoformat(later["estimated_departure_at"]) == send_at


async def test_each_message_of_a_batch_leaves_when_those_before_it_let_it(town: World) -> None:
    # Given a line of two an hour, When five messages come at once
    sender = await _line(town, 2)
    batch = {"messages": [_body(sender) for _ in range(5)]}
    results = (await town.post("alice", "/v1/messages/batch", batch))["results"]
    # Then two leave now, two in an hour, and one in two
    for result, hours in zip(results, (0, 0, 1, 1, 2), strict=True):
        assert _is_about(_wait(result), hours * HOUR), result


async def test_what_cannot_leave_in_time_is_refused_before_it_is_charged(town: World) -> None:
    # Given a line that is full for an hour
    sender = await _line(town, 1)
    await town.post("alice", "/v1/messages", _body(sender))
    before = await town.books()
    # When messages come that are valid for less, alone, in a batch, or for a look
    short = _body(sender, valid_for=1800)
    refused = await town.post("alice", "/v1/messages", short, 429)
    looked = await town.post("alice", "/v1/messages", short | {"dry_run": True}, 429)
    batch = await town.post("alice", "/v1/messages/batch", {"messages": [short]})
    # Then each is told from when on it could leave, and nothing is stored or charged
    for each in (refused, looked, batch["results"][0]["error"]):
        assert each["code"] == "cannot_leave_in_time"
        assert _is_about(_wait(each, "possible_at"), HOUR)
    assert await town.books() == before
    # And it comes in when it is valid for as long
    sent = await town.post("alice", "/v1/messages", _body(sender, valid_for=2 * 3600))
    assert _is_about(_wait(sent), HOUR)


async def test_what_waits_tells_when_it_leaves_and_what_has_left_does_not(town: World) -> None:
    # Given a line of two an hour, of whose five messages two have left and three are parked
    sender = await _line(town, 2)
    batch = {"messages": [_body(sender, reference=str(n)) for n in range(4)]}
    sent = (await town.post("alice", "/v1/messages/batch", batch))["results"]
    urgent = await town.post("alice", "/v1/messages", _body(sender, **{"class": "urgent"}))
    for message, state in zip([*sent, urgent], ["gone"] * 2 + ["parked"] * 3, strict=True):
        await _stand(town, message, state)
    # When they are read, then the urgent one leaves with the first of the others
    for message, hours in ((urgent, 1), (sent[2], 1), (sent[3], 2)):
        read = await town.get("alice", f"/v1/messages/{message['id']}")
        assert _is_about(_wait(read), hours * HOUR), read
    await town.pool.execute(
        "UPDATE messages SET status = 'submitted' WHERE message_id = $1", uuid.UUID(sent[0]["id"])
    )
    read = await town.get("alice", f"/v1/messages/{sent[0]['id']}")
    assert "estimated_departure_at" not in read


async def test_a_line_that_others_have_filled_is_noticed_though_little_was_sent_here(
    town: World,
) -> None:
    # Given a line of which this ingest has sent little
    sender = await _line(town, 100)
    sent = await town.post("alice", "/v1/messages", _body(sender))
    assert _is_about(_wait(sent), timedelta(0))
    # When it is full by what another has sent, and a message is parked on it
    await town.pool.execute(
        "INSERT INTO limit_usage (scope, minute, worker_id, segment_count)"
        " SELECT 'line:' || line_id, extract(epoch FROM now())::bigint / 60, $2, 100"
        " FROM lines WHERE sender = $1",
        sender,
        ids.uuid7(),
    )
    await town.pool.execute(
        "INSERT INTO parked_lines SELECT line_id, now() + interval '1 hour' FROM lines"
        " WHERE sender = $1",
        sender,
    )
    await _stand(town, sent, "parked")
    # Then the next ones are soon told that they will wait
    async with asyncio.timeout(SEEN_SECONDS):
        while not _is_about(_wait(await town.post("alice", "/v1/messages", _body(sender))), HOUR):
            await asyncio.sleep(0.3)


async def test_a_full_country_lets_its_messages_wait_and_no_others(town: World) -> None:
    # Given an account whose country takes one an hour
    sender = await _line(town, 100)
    async with town.pool.acquire() as opened, opened.transaction():
        await apply.put(opened, apply.CountryLimit("alice", "DE", 1, None, None), None)
        await configuration.bump(opened)
    german = _body(sender, to="+4915112345678", valid_for=60)
    # When it has taken that
    await _until(town, german, 429)
    # Then the next waits, and one to another country does not
    refused = await town.post("alice", "/v1/messages", german, 429)
    assert _is_about(_wait(refused, "possible_at"), HOUR)
    assert _is_about(_wait(await town.post("alice", "/v1/messages", _body(sender))), timedelta())


async def test_a_line_is_asked_about_again_after_the_database_was_away(town: World) -> None:
    # Given a process that has accepted a message on a line with room, on which messages wait
    sender = await _line(town, 100)
    ((line_id, account_id),) = await town.pool.fetch(
        "SELECT line_id, account_id FROM lines WHERE sender = $1", sender
    )
    departing = DepartureForecasts(town.pool, await watch.Watch.start(town.pool))
    sent = draft(
        *(1, 2, 1),
        line_id=line_id,
        account_id=account_id,
        sender=sender,
        valid_seconds=VALID_SECONDS_DEFAULT,
    )
    await departing.learn([sent])
    departing.count(sent)
    await town.pool.execute(
        "WITH charged AS (INSERT INTO limit_usage (scope, minute, worker_id, segment_count)"
        " VALUES ('line:' || $1::int, extract(epoch FROM now())::bigint / 60, $2, 100))"
        " INSERT INTO parked_lines VALUES ($1, now() + interval '1 hour')",
        line_id,
        ids.uuid7(),
    )
    # When it is to look where messages wait, and PostgreSQL does not answer
    async with AsyncExitStack() as stack:
        for _ in range(town.pool.get_max_size()):
            await stack.enter_async_context(town.pool.acquire())
        with pytest.raises(connection.TRANSIENT):
            await departing.refresh()
    # Then it looks the next time, and says that the next message will wait
    await departing.refresh()
    await departing.learn([sent])
    now = datetime.now(UTC)
    assert _is_about(departing.leaves_at(sent, now) - now, HOUR)


async def test_what_waits_is_counted_once_however_many_ask_at_once(town: World) -> None:
    # Given a full line of one an hour on which two messages wait
    sender = await _line(town, 1)
    batch = {"messages": [_body(sender, reference=str(n)) for n in range(3)]}
    sent = (await town.post("alice", "/v1/messages/batch", batch))["results"]
    for message, state in zip(sent, ["gone", "parked", "parked"], strict=True):
        await _stand(town, message, state)
    # When twenty requests meet it at once in a process that has just begun
    departing = DepartureForecasts(town.pool, await watch.Watch.start(town.pool))
    ((line_id, account_id),) = await town.pool.fetch(
        "SELECT line_id, account_id FROM lines WHERE sender = $1", sender
    )
    short = draft(*(1, 2, 1), line_id=line_id, account_id=account_id, sender=sender)
    await asyncio.gather(*(departing.learn([short]) for _ in range(20)))
    # Then the next message leaves after those two
    now = datetime.now(UTC)
    assert _is_about(departing.leaves_at(short, now) - now, 3 * HOUR)


async def test_a_line_that_is_limited_by_the_second_lets_a_burst_go_at_its_pace(
    town: World,
) -> None:
    # Given a line of one a second
    sender = await _line(town, 1_000)
    await town.pool.execute("UPDATE lines SET second_limit = 1 WHERE sender = $1", sender)
    async with town.pool.acquire() as opened, opened.transaction():
        await configuration.bump(opened)
    line_id = await town.pool.fetchval("SELECT line_id FROM lines WHERE sender = $1", sender)
    async with asyncio.timeout(SEEN_SECONDS):
        while (await town.get("alice", f"/v1/lines/{line_id}"))["second_limit"] != 1:
            await asyncio.sleep(0.05)
    # When forty come at once
    batch = {"messages": [_body(sender) for _ in range(40)]}
    results = (await town.post("alice", "/v1/messages/batch", batch))["results"]
    # Then the first leaves now, and the last in a minute, as parked ones leave
    waits = [_wait(result).total_seconds() for result in results]
    assert waits == sorted(waits)
    assert waits[0] < 1
    assert 50 < waits[-1] < 62
    # And one that would be too late by then is refused
    refused = await town.post("alice", "/v1/messages", _body(sender, valid_for=30), 429)
    assert refused["code"] == "cannot_leave_in_time"
