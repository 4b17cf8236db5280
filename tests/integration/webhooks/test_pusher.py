"""A pusher tells each webhook every event at least once, and spares who cannot take them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp import web

from services.ingest.native import answers
from services.webhooks import course, policy
from shared.access import keys, signatures, vault
from shared.access.seals import Seals
from shared.db import apply, events, inbound, messages, opt_outs, pushes, webhooks
from shared.runtime import ids
from shared.shapes import message as shapes
from shared.sms.inbound import Alphabet, InboundPart
from tests.integration.dlr.world import eventually
from tests.integration.webhooks.hooks import SECRET_KEY, VAULT, Hooks
from tests.keys import SEALS
from tests.receiver import Receiver, receiving

OLD_KEY = "an older key of this platform and long"
pytestmark = pytest.mark.usefixtures("quick")


async def test_an_event_is_told_with_its_messages_newest_state(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given a webhook, and a message that was submitted and has been delivered since
    _, secret = await hooks.add(receiver.url)
    (message_id,) = await hooks.town.submit(1)
    async with hooks.pushing():
        await receiver.hears(1)

    # Then it is told what the API tells, signed, with the event's number and type
    (told,) = receiver.received
    told.check(secret)
    assert told.headers["Content-Type"] == "application/json"
    (event,) = await hooks.logged()
    assert told.body["type"] == "message.submitted"
    data = told.body["data"]
    assert data.pop("sequence") == event.sequence
    async with hooks.town.pool.acquire() as connection:
        stored = await messages.get(connection, hooks.town.account_id, message_id)
        assert stored is not None
        shown = shapes.shown_with_parts(stored, await messages.parts(connection, message_id))
    assert data == msgspec.json.decode(msgspec.json.encode(shown))


async def test_a_webhook_hears_what_it_asked_for_from_when_it_was_made(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given events before there was a webhook, and one that asks for what does not happen
    await hooks.town.submit(3)
    await hooks.add(receiver.url, ["message.submitted"])
    deaf_id, _ = await hooks.add(receiver.url + "/deaf", ["message.delivered", "inbound.*"])

    # When more happens
    await hooks.town.submit(200)
    async with hooks.pushing():
        await receiver.hears(200)

        # Then it hears these, once each, and the other has read past them
        assert len(receiver.received) == 200
        assert receiver.sequences == set(range(4, 204))
        assert {one.path for one in receiver.received} == {"/hook"}

        async def has_read() -> bool:
            return (await hooks.get(deaf_id)).read_until == 203

        await eventually(has_read)
    assert receiver.under_way_max <= course.AT_ONCE_COUNT


async def test_what_phones_send_is_told_as_the_api_shows_it(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given a line, and a webhook for what phones send to it
    line = apply.Line("demo", "+33700000001", "mobile", "FR", True, 1000, 1000, 10_000)
    part = InboundPart("+33612345678", line.sender, Alphabet.GSM7, b"", b"oui")
    await hooks.add(receiver.url, ["inbound.*"])
    await hooks.town.submit(1)
    async with hooks.town.pool.acquire() as connection, connection.transaction():
        await apply.put(connection, line, None)
        await inbound.store(connection, SEALS, [inbound.Arrival(ids.uuid7(), 1, part)])
    async with hooks.pushing():
        await receiver.hears(1)
    # Then that is the API's shape with the event's number, after the message's
    body = receiver.taken[0].body
    assert body["type"] == "inbound.received"
    data = body["data"]
    assert data.pop("sequence") == 2
    async with hooks.town.pool.acquire() as connection:
        (stored,) = await inbound.after(connection, hooks.town.account_id, 0, 10)
    assert stored.body == "oui"
    page = answers.inbound_page([stored], 0)
    shown = msgspec.to_builtins(page)["inbound"][0]
    assert shown.pop("sequence") == 1
    assert data == shown


async def test_a11_a_text_that_is_not_kept_is_told_until_it_is_taken(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given what a phone has sent to an account that keeps no texts
    line = apply.Line("demo", "+33700000001", "mobile", "FR", True, 1000, 1000, 10_000)
    part = InboundPart("+33612345678", line.sender, Alphabet.GSM7, b"", b"oui")
    webhook_id, _ = await hooks.add(receiver.url, ["inbound.*"])
    seals = Seals(keys.Keys.read(SECRET_KEY))
    async with hooks.town.pool.acquire() as connection, connection.transaction():
        await apply.put(connection, line, None)
        await connection.execute("UPDATE accounts SET store_body = false WHERE name = 'demo'")
        await inbound.store(connection, seals, [inbound.Arrival(ids.uuid7(), 1, part)])

    async def is_erased() -> bool:
        return not await hooks.town.pool.fetch("SELECT FROM sealed_texts")

    async def is_told(count: int) -> bool:
        return len(receiver.received) >= count

    # When a webhook refuses it, and takes it when it is told once more
    receiver.answers = lambda _body: 500 if len(receiver.received) == 1 else 204
    async with hooks.pushing():
        await eventually(partial(is_told, 1))
        assert not await is_erased()
        await eventually(partial(is_told, 2))
        await eventually(is_erased)

        # Then it was told the text both times, and whoever asks later is not
        await hooks.replay(webhook_id, 0)
        await eventually(partial(is_told, 3))
    told = [each.body["data"] for each in receiver.received]
    assert [(each["text"], each["body_stored"]) for each in told] == [
        ("oui", False),
        ("oui", False),
        (None, False),
    ]


async def test_an_opt_out_is_told_as_it_stands_now(hooks: Hooks, receiver: Receiver) -> None:
    # Given a webhook for opt-outs, and one that was made and has ended before it is told
    await hooks.add(receiver.url, ["opt_out.*"])
    phone = opt_outs.PhoneOfAccount(hooks.town.account_id, "+33612345678")
    source = opt_outs.OptOutSource.PRODUCER
    async with hooks.town.pool.acquire() as connection, connection.transaction():
        await opt_outs.take_turn(connection)
        new = opt_outs.NewOptOut(ids.uuid7(), *phone, source, "complaint")
        await opt_outs.tell(connection, created=await opt_outs.create(connection, [new]))
        ended = await opt_outs.end(connection, [phone], source, "letter")
        await opt_outs.tell(connection, ended=ended)
    async with hooks.pushing():
        await receiver.hears(2)
    # Then both events have what the API shows, with who made it, and who ended it and why
    bodies = [one.body for one in receiver.taken]
    assert {body["type"] for body in bodies} == {"opt_out.created", "opt_out.deleted"}
    for body in bodies:
        data = body["data"]
        assert (data["id"], data["number"]) == (str(new.opt_out_id), phone.recipient)
        assert (data["reason"], data["ended_by"], data["end_reason"]) == (
            "complaint",
            "producer",
            "letter",
        )


async def test_others_hear_that_a_webhook_was_disabled_and_no_url_of_it(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given two webhooks of an account, of which one is gone
    async with receiving() as other:
        await hooks.allow(receiver.port, other.port)
        gone_id, _ = await hooks.add(receiver.url)
        await hooks.add(other.url, ["webhook.disabled"])
        receiver.answers = lambda _body: 410
        await hooks.town.submit(1)
        async with hooks.pushing():
            await other.hears(1)
    # Then the other is told, and the log has it
    (told,) = other.taken
    assert told.body["type"] == "webhook.disabled"
    assert (told.body["data"]["id"], told.body["data"]["reason"]) == (str(gone_id), "gone")
    assert told.body["data"]["state"] == "disabled"
    assert receiver.url not in told.raw.decode()
    event = (await hooks.logged())[-1]
    assert (event.type, event.subject_id, event.reason) == ("webhook.disabled", gone_id, "gone")
    assert event.sequence == told.sequence == 2


async def test_an_event_that_is_not_taken_holds_up_no_other(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given a receiver that cannot take the third event yet
    webhook_id, secret = await hooks.add(receiver.url)
    await hooks.town.submit(20)
    stuck = True
    receiver.answers = lambda body: 500 if body["data"]["sequence"] == 3 and stuck else 200
    async with hooks.pushing():
        await receiver.hears(19)

        # Then the others are taken, and it is tried again until it is
        await hooks.town.submit(20)
        await receiver.hears(39)
        assert (await hooks.get(webhook_id)).retry_count == 1
        stuck = False
        await receiver.hears(40)
    for one in receiver.received:
        one.check(secret)
    assert (await hooks.get(webhook_id)).retry_count == 0

    # And its tries are listed with their statuses
    statuses = [one.status for one in await hooks.tries(webhook_id) if one.sequence == 3]
    assert statuses[0] == 200
    assert set(statuses[1:]) == {500}


async def test_what_a_later_release_tells_of_holds_up_nothing(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given an event of a family that this release does not know, between two that it does
    webhook_id, _ = await hooks.add(receiver.url)
    subject_id = ids.uuid7()
    await hooks.town.submit(1)
    async with hooks.town.pool.acquire() as connection:
        new = events.NewEvent(hooks.town.account_id, "parcel.lost", subject_id)
        await events.append(connection, [new])
    await hooks.town.submit(1)
    async with hooks.pushing():
        await receiver.hears(3)
    # Then what is known of it is told, and the others as ever
    bodies = {one.body["data"]["sequence"]: one.body for one in receiver.taken}
    assert set(bodies) == {1, 2, 3}
    assert bodies[2]["type"] == "parcel.lost"
    assert bodies[2]["data"] == {"id": str(subject_id), "sequence": 2}
    assert bodies[3]["type"] == "message.submitted"
    assert (await hooks.get(webhook_id)).retry_count == 0


async def test_who_is_away_costs_little_and_gets_exactly_what_it_missed(hooks: Hooks) -> None:
    # Given a receiver that is away while a thousand things happen
    async with receiving() as first:
        port = first.port
        await hooks.allow(port)
        webhook_id, _ = await hooks.add(first.url)
        await hooks.town.submit(10)
        async with hooks.pushing():
            await first.hears(10)
    async with hooks.pushing():
        for _ in range(10):
            await hooks.town.submit(100)
        await asyncio.sleep(1.5)

        # Then few rows wait for it, and few requests were made
        stands = await hooks.get(webhook_id)
        assert stands.failing_since is not None
        assert stands.retry_count <= policy.PROBE_COUNT + course.AT_ONCE_COUNT
        assert len(await hooks.tries(webhook_id)) < 40

        # When it is back, Then it gets what it missed, each once
        async with receiving(port) as second:
            await second.hears(1_000)
            assert len(second.taken) == 1_000
            assert second.sequences == set(range(11, 1_011))

            async def is_well() -> bool:
                stands = await hooks.get(webhook_id)
                return stands.failing_since is None and stands.retry_count == 0

            await eventually(is_well)


async def test_gone_disables_and_its_owner_may_enable_it_again(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook_id, _ = await hooks.add(receiver.url)
    receiver.answers = lambda _body: 410
    await hooks.town.submit(30)
    async with hooks.pushing():

        async def is_disabled() -> bool:
            return (await hooks.get(webhook_id)).state == "disabled"

        await eventually(is_disabled)
        assert (await hooks.get(webhook_id)).reason == policy.GONE_REASON
        heard_count = len(receiver.received)
        assert heard_count <= course.AT_ONCE_COUNT
        await asyncio.sleep(0.5)
        assert len(receiver.received) == heard_count

        # When it is enabled again, Then nothing was lost
        receiver.answers = lambda _body: 204
        await hooks.change(webhook_id, state="active")
        await receiver.hears(31)
        assert "webhook.disabled" in {one.body["type"] for one in receiver.taken}


async def test_days_of_failure_disable(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given days that are short
    monkeypatch.setattr(policy, "DISABLE_SECONDS", 1.0)
    webhook_id, _ = await hooks.add(receiver.url)
    receiver.answers = lambda _body: 503
    await hooks.town.submit(3)
    async with hooks.pushing():

        async def is_disabled() -> bool:
            return (await hooks.get(webhook_id)).state == "disabled"

        await eventually(is_disabled)
    stands = await hooks.get(webhook_id)
    assert stands.reason == policy.FAILING_REASON
    assert stands.retry_count == 3


async def test_who_asks_for_time_gets_it(hooks: Hooks, receiver: Receiver) -> None:
    async def busy(_body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "2"})

    await hooks.add(receiver.url)
    receiver.answers = busy
    await hooks.town.submit(50)
    async with hooks.pushing():

        async def is_asked() -> bool:
            return bool(receiver.received)

        await eventually(is_asked)
        asked_at = time.monotonic()
        await asyncio.sleep(1.0)
        assert len(receiver.received) <= course.AT_ONCE_COUNT
        receiver.answers = lambda _body: 200
        await receiver.hears(50)
        assert time.monotonic() - asked_at >= 1.9


async def test_a_tarpit_does_not_hold_up_the_others(hooks: Hooks, receiver: Receiver) -> None:
    # Given one that never answers, beside one that does
    async def stuck(_body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with receiving() as tarpit:
        tarpit.answers = stuck
        await hooks.allow(receiver.port, tarpit.port)
        await hooks.add(tarpit.url)
        await hooks.add(receiver.url)
        async with hooks.pushing():
            began_at = time.monotonic()
            await hooks.town.submit(300)
            await receiver.hears(300)
            assert time.monotonic() - began_at < 5
        assert tarpit.under_way_max <= course.AT_ONCE_COUNT


async def test_a_replay_tells_again_what_followed(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id, _ = await hooks.add(receiver.url)
    await hooks.town.submit(20)
    async with hooks.pushing():
        await receiver.hears(20)
        first = {one.headers["webhook-id"] for one in receiver.taken}

        # When what followed the fifth is asked for again
        receiver.taken.clear()
        await hooks.replay(webhook_id, 5)
        await receiver.hears(15)

    # Then it comes under the same ids
    assert receiver.sequences == set(range(6, 21))
    assert {one.headers["webhook-id"] for one in receiver.taken} < first


async def test_two_secrets_are_good_while_one_is_rotated(hooks: Hooks, receiver: Receiver) -> None:
    webhook_id, old = await hooks.add(receiver.url)
    new = signatures.make_secret()
    async with hooks.town.pool.acquire() as connection:
        await webhooks.rotate(connection, hooks.town.account_id, webhook_id, VAULT.seal(new))
    await hooks.town.submit(1)
    async with hooks.pushing():
        await receiver.hears(1)
    for secret in (old, new):
        receiver.taken[0].check(secret)


async def test_a_url_that_leads_inside_is_tried_and_never_reached(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given a webhook whose place was allowed when it was made, and is no more
    webhook_id, _ = await hooks.add(receiver.url)
    await hooks.allow()
    await hooks.town.submit(2)
    async with hooks.pushing():

        async def is_tried() -> bool:
            return bool(await hooks.tries(webhook_id))

        await eventually(is_tried)
    assert receiver.received == []
    assert {(one.status, one.outcome) for one in await hooks.tries(webhook_id)} == {
        (0, "not_allowed")
    }


async def test_a_place_that_was_allowed_just_now_is_reached_at_the_first_try(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given a pusher at work that knows of no place, and a webhook
    await hooks.allow()
    webhook_id, _ = await hooks.add(receiver.url)
    async with hooks.pushing():
        # When its place is allowed, and something happens at once
        await hooks.allow(receiver.port)
        await hooks.town.submit(2)
        await receiver.hears(2)

        async def is_written() -> bool:
            return len(await hooks.tries(webhook_id)) >= 2

        await eventually(is_written)
    # Then nothing was tried in vain
    assert [one.outcome for one in await hooks.tries(webhook_id)] == ["answered"] * 2


async def test_several_pushers_share_and_tell_each_event_once(
    hooks: Hooks, receiver: Receiver
) -> None:
    for number in range(5):
        await hooks.add(f"{receiver.url}/{number}")
    async with hooks.pushing(), hooks.pushing(), hooks.pushing():
        for _ in range(5):
            await hooks.town.submit(40)
        async with asyncio.timeout(20):
            while len(receiver.taken) < 1_000:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
    assert len(receiver.taken) == len({(one.path, one.sequence) for one in receiver.taken}) == 1_000


async def test_a_secret_goes_over_to_the_platforms_new_key(
    hooks: Hooks, receiver: Receiver
) -> None:
    # Given a secret under the platform's older key
    webhook_id, secret = await hooks.add(receiver.url)
    older = vault.Vault(keys.Keys.read(OLD_KEY))
    await hooks.town.pool.execute(
        "UPDATE webhooks SET sealed_secret = $2 WHERE webhook_id = $1",
        webhook_id,
        older.seal(secret),
    )
    await hooks.town.submit(1)
    async with hooks.pushing(secret_key=f"{SECRET_KEY},{OLD_KEY}"):
        await receiver.hears(1)

    # Then it is read without that key from then on
    receiver.taken[0].check(secret)
    sealed = await hooks.town.pool.fetchval(
        "SELECT sealed_secret FROM webhooks WHERE webhook_id = $1", webhook_id
    )
    assert VAULT.open(sealed) == secret


async def test_events_are_found_by_their_numbers(hooks: Hooks) -> None:
    # Given events in several pages
    for count in (1, 5, 1, 20):
        await hooks.town.submit(count)
    every = {event.sequence: event for event in await hooks.logged()}
    async with hooks.town.pool.acquire() as connection:
        found = await events.at(connection, hooks.town.account_id, [27, 1, 2, 6, 7, 8, 28, 1_000])
    assert found == [every[number] for number in (1, 2, 6, 7, 8, 27)]
    assert isinstance(found[0].subject_id, UUID)


async def test_a_lease_that_was_given_back_is_not_renewed(hooks: Hooks, receiver: Receiver) -> None:
    # Given a webhook whose round has ended with something left to tell
    await hooks.add(receiver.url)
    await hooks.town.submit(1)
    async with hooks.town.pool.acquire() as connection:
        (leased,) = await pushes.lease(connection, ids.uuid7(), 1)
        round_done = pushes.Course(read_until=leased.read_until)
        async with connection.transaction():
            assert await pushes.record(connection, leased, round_done, course.RETRY_COUNT_MAX)
        # When its pusher, which is just renewing all that it holds, comes late
        await pushes.renew(connection, [leased])
        # Then the next one need not wait until that lease would have run out
        (again,) = await pushes.lease(connection, ids.uuid7(), 1)
    assert again.webhook_id == leased.webhook_id
