"""What happens on lines in API mode is told to their URLs, once; and account webhooks of Aircall's
form are told of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from services.webhooks import callbacks
from shared.access import keys, seals
from shared.db import (
    apply,
    configuration,
    events,
    inbound,
    line_callbacks,
    messages,
    segments,
    webhooks,
)
from shared.runtime import ids
from shared.sms import states
from shared.sms.inbound import Alphabet, InboundPart
from tests import claims
from tests.drafts import draft
from tests.integration.dlr import world
from tests.integration.dlr.world import eventually
from tests.integration.webhooks.hooks import SECRET_KEY, VAULT, Hooks
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.usefixtures("quick")

PHONE = "+33612345678"
ONE, OTHER, THIRD = "+33700000001", "+33700000002", "+33700000003"
SEALS = seals.Seals(keys.Keys.read(SECRET_KEY))
TOKEN = "9d0c6f0e-58d5-4a55-9a3c-77a6b3d2c9e1"


@pytest.fixture
async def line_ids(hooks: Hooks) -> dict[str, int]:
    """Three numbers that serve the application."""
    async with hooks.town.pool.acquire() as connection, connection.transaction():
        for sender in (ONE, OTHER, THIRD):
            line = apply.Line("demo", sender, "mobile", "FR", False, 1000, 1000, 10_000)
            await apply.put(connection, line, None)
        await configuration.bump(connection)
        rows = await connection.fetch("SELECT sender, line_id FROM lines")
    return {row["sender"]: row["line_id"] for row in rows}


async def configure(hooks: Hooks, line_id: int, url: str) -> None:
    """Put a line into API mode, as its owner does."""
    async with hooks.town.pool.acquire() as connection:
        await events.number(connection)
        async with connection.transaction():
            await line_callbacks.configure(
                connection, hooks.town.account_id, line_id, url, VAULT.seal(TOKEN)
            )


async def send(hooks: Hooks, line_ids: dict[str, int], sender: str, count: int = 1) -> list[UUID]:
    """Messages from a line that the carrier took."""
    town = hooks.town
    new = [
        draft(
            town.wallet_id,
            town.revenue_wallet_id,
            world.PRICE_MICRO,
            account_id=town.account_id,
            carrier_id=town.carrier_ids["acme"],
            sender=sender,
            line_id=line_ids[sender],
            recipient=PHONE,
            body="Your table is booked.",
        )
        for _ in range(count)
    ]
    sent = [each.message_id for each in new]
    async with town.pool.acquire() as connection:
        await messages.insert(connection, new)
        await claims.claim(connection, sent, world.WORKER)
    await town.answer(sent)
    return sent


async def deliver(hooks: Hooks, message_id: UUID) -> None:
    """The carrier says that it came through."""
    delivered = states.SegmentState.DELIVERED
    await hooks.town.settle([segments.Evidence(message_id, 1, delivered)])


async def receive(hooks: Hooks, recipient: str, text: str) -> None:
    """A phone writes to a line."""
    part = InboundPart(PHONE, recipient, Alphabet.GSM7, b"", text.encode())
    async with hooks.town.pool.acquire() as connection, connection.transaction():
        await inbound.store(connection, SEALS, [inbound.Arrival(ids.uuid7(), 1, part)])


async def cursor(hooks: Hooks) -> int:
    """How far the account's log has been told."""
    return int(await hooks.town.pool.fetchval("SELECT read_until FROM callback_cursors"))


async def until(check: Callable[[], bool]) -> None:
    async def checked() -> bool:
        return check()

    await eventually(checked)


async def test_a01_a_lines_owner_is_called_back_about_what_is_sent_and_received(
    hooks: Hooks, line_ids: dict[str, int], receiver: Receiver
) -> None:
    # Given a line in API mode, another that serves the application, and a webhook of the account
    await configure(hooks, line_ids[ONE], receiver.url)
    async with receiving() as native:
        await hooks.allow(receiver.port, native.port)
        await hooks.add(native.url)

        # When on both a message is sent and delivered, and a phone writes
        (sent,), (by_app,) = [await send(hooks, line_ids, each) for each in (ONE, OTHER)]
        await deliver(hooks, sent)
        for recipient in (ONE, OTHER):
            await receive(hooks, recipient, f"OK {recipient[-1]}")
        async with hooks.pushing():
            await until(lambda: len(receiver.taken) >= 3)
            await native.hears(2)

    # Then the line's owner has heard of its own, in the form that clients know
    bodies = {(each.body["event"], each.body["data"]["status"]): each for each in receiver.taken}
    assert len(receiver.received) == len(bodies) == 3
    _check(bodies["message.updated", "sent"].body, sent, "outbound", line_ids[ONE])
    _check(bodies["message.updated", "delivered"].body, sent, "outbound", line_ids[ONE])
    arrived = bodies["message.received", "received"].body
    _check(arrived, UUID(arrived["data"]["id"]), "inbound", line_ids[ONE])
    assert arrived["data"]["body"] == "OK 1"
    assert not [name for name in receiver.taken[0].headers if name.startswith("webhook-")]

    # And what the phone wrote to it is kept nowhere any more (A11)
    assert await hooks.town.count("sealed_texts") == 0
    assert await hooks.town.count(f"inbound WHERE recipient = '{ONE}' AND body = ''") == 1

    # And the application of the other alone (A9)
    told = {each.body["type"]: each.body["data"] for each in native.taken}
    assert told["message.submitted"]["id"] == str(by_app)
    assert told["inbound.received"]["to"] == OTHER
    assert len(native.received) == 2


def _check(body: dict[str, Any], subject_id: UUID, direction: str, line_id: int) -> None:
    assert body["event_name"] == body["event"]
    assert (body["resource"], body["token"]) == ("message", TOKEN)
    assert abs(body["timestamp"] / 1000 - time.time()) < 60
    data = body["data"]
    assert (data["id"], data["direction"]) == (str(subject_id), direction)
    assert (data["raw_digits"], data["external_number"]) == (PHONE[1:], PHONE)
    number = data["number"]
    assert (number["id"], number["e164_digits"]) == (line_id, ONE)
    assert number["digits"] == "+33 7 00 00 00 01"


@pytest.mark.parametrize("status", [500, 302])
async def test_there_is_one_try(
    hooks: Hooks, line_ids: dict[str, int], receiver: Receiver, status: int
) -> None:
    await configure(hooks, line_ids[ONE], receiver.url)
    receiver.answers = lambda _body: status
    await send(hooks, line_ids, ONE, 20)

    async def has_told() -> bool:
        return await cursor(hooks) == 20

    async with hooks.pushing():
        await eventually(has_told)
        await asyncio.sleep(0.1)
    assert len(receiver.received) == 20


async def test_a_url_that_never_answers_holds_up_no_other_line(
    hooks: Hooks, line_ids: dict[str, int], receiver: Receiver
) -> None:
    # Given two lines of one account, of which one's server takes requests and says nothing
    released = asyncio.Event()

    async def silence() -> web.StreamResponse:
        await released.wait()
        return web.Response(status=204)

    async with receiving() as tarpit:
        tarpit.answers = lambda _body: silence()
        await hooks.allow(receiver.port, tarpit.port)
        await configure(hooks, line_ids[OTHER], tarpit.url)
        await configure(hooks, line_ids[ONE], receiver.url)
        for _ in range(2):
            await send(hooks, line_ids, OTHER, 60)
            await send(hooks, line_ids, ONE, 50)
        async with hooks.pushing(deadline_seconds=5.0):
            # Then the other hears everything while the first request is still waited for
            await until(lambda: tarpit.under_way > 0)
            began_at = time.monotonic()
            await until(lambda: len(receiver.taken) == 100)
            assert time.monotonic() - began_at < 4
            assert tarpit.under_way_max <= 8
            # And what the slow one has not heard is not forgotten as if it had
            assert await cursor(hooks) < 60
            released.set()
            await until(lambda: len(tarpit.taken) == 120)


async def test_a_url_that_goes_on_saying_nothing_is_left_behind(
    hooks: Hooks, line_ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more than a silent server will ever be told in time
    monkeypatch.setattr(callbacks, "SLOW_SECONDS", 0.1)

    async def silence() -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response(status=204)

    async def has_told() -> bool:
        return await cursor(hooks) == 100

    async with receiving() as tarpit:
        tarpit.answers = lambda _body: silence()
        await hooks.allow(tarpit.port)
        await configure(hooks, line_ids[OTHER], tarpit.url)
        await send(hooks, line_ids, OTHER, 100)
        async with hooks.pushing(deadline_seconds=0.2):
            # Then some of it is tried, once each, and the log is at its end soon
            await eventually(has_told)
        assert 5 <= len(tarpit.received) <= 40
        assert len({each.body["data"]["id"] for each in tarpit.received}) == len(tarpit.received)


async def test_a_burst_that_is_more_than_may_wait_is_told_all_the_same(
    hooks: Hooks,
    line_ids: dict[str, int],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callbacks, "WAITING_COUNT_MAX", 10)
    await configure(hooks, line_ids[ONE], receiver.url)
    await send(hooks, line_ids, ONE, 200)
    async with hooks.pushing():
        await until(lambda: len(receiver.taken) == 200)
    assert len(receiver.received) == 200


async def test_a_new_process_goes_on_where_the_last_one_ended(
    hooks: Hooks, line_ids: dict[str, int], receiver: Receiver
) -> None:
    await configure(hooks, line_ids[ONE], receiver.url)
    await send(hooks, line_ids, ONE, 10)
    async with hooks.pushing():
        await until(lambda: len(receiver.taken) == 10)
    await send(hooks, line_ids, ONE, 10)
    async with hooks.pushing():
        await until(lambda: len(receiver.taken) == 20)
    assert len({each.body["data"]["id"] for each in receiver.received}) == 20


async def test_places_that_are_not_allowed_are_not_asked(
    hooks: Hooks, line_ids: dict[str, int], receiver: Receiver
) -> None:
    async with receiving() as inside:
        await configure(hooks, line_ids[ONE], inside.url)
        await send(hooks, line_ids, ONE, 3)

        async def has_told() -> bool:
            return await cursor(hooks) == 3

        async with hooks.pushing():
            await eventually(has_told)
        assert inside.received == []


async def test_an_account_webhook_hears_of_numbers_that_serve_the_application(
    hooks: Hooks, line_ids: dict[str, int], receiver: Receiver
) -> None:
    # Given a webhook of Aircall's form, one for inbound alone, and a line in API mode
    await configure(hooks, line_ids[THIRD], receiver.url + "/callback")
    async with hooks.town.pool.acquire() as connection, connection.transaction():
        for path, names in (("/all", []), ("/in", ["message.received"])):
            new = webhooks.NewWebhook(
                ids.uuid7(),
                receiver.url + path,
                names,
                VAULT.seal("wh_7f3a"),
                webhooks.WebhookForm.AIRCALL,
            )
            assert await webhooks.insert(connection, hooks.town.account_id, new)

    # When a message is sent and delivered, and a phone writes
    (sent,) = await send(hooks, line_ids, ONE)
    await send(hooks, line_ids, THIRD)
    await deliver(hooks, sent)
    await receive(hooks, ONE, "OK")
    async with hooks.pushing():
        await until(lambda: len(receiver.taken) == 5)

    # Then each hears what it asked for, with its token, and not signed
    heard = [each for each in receiver.received if each.path == "/hook/all"]
    assert {each.body["event"] for each in heard} == {
        "message.sent",
        "message.status_updated",
        "message.received",
    }
    for each in heard:
        assert set(each.body) == {"resource", "event", "timestamp", "token", "data"}
        assert (each.body["resource"], each.body["token"]) == ("message", "wh_7f3a")
        assert each.body["data"]["origin"] == "native"
        assert "webhook-signature" not in each.headers
    bodies = {each.body["data"]["body"] for each in heard}
    assert bodies == {"Your table is booked.", "OK"}
    (inbound_only,) = [each for each in receiver.received if each.path == "/hook/in"]
    assert inbound_only.body["data"]["status"] == "received"
