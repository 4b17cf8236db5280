"""What phones send: kept once, joined, and given to the account whose line it came to."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from services.dispatcher import inbound as desks
from services.dispatcher.inbound import InboundDesk
from services.dlr import inbound
from shared.db import audit, events, pool
from shared.db import inbound as stored
from shared.runtime import batching
from shared.sms.inbound import Alphabet, InboundPart
from tests.integration.dlr import phones
from tests.integration.dlr.phones import ALICE, BOB, OTHER_PHONE, OWN_LINE, PHONE, SHARED_LINE
from tests.keys import SEALS
from tests.servers import as_services

LONG = "Bonjour, voici une réponse assez longue pour deux parties. " * 5
WAIT_SECONDS = 600.0


@pytest.fixture
async def owner(owner: asyncpg.Connection) -> asyncpg.Connection:
    """The schema's owner, in a place where phones write to lines."""
    await phones.settle(owner)
    return owner


def whole(text: bytes, sender: str = PHONE, recipient: str = OWN_LINE) -> InboundPart:
    return InboundPart(sender, recipient, Alphabet.GSM7, b"", text)


def _gone() -> bool:
    """The link it came by does not stand any more."""
    return False


async def let_time_pass(owner: asyncpg.Connection, seconds: float) -> None:
    """Let all that was seen, and all that waits, have come so much earlier."""
    earlier = f"- make_interval(secs => {seconds})"
    await owner.execute(
        f"UPDATE inbound_parts SET first_at = first_at {earlier}, received_at = ARRAY("
        f" SELECT at {earlier} FROM unnest(received_at) WITH ORDINALITY AS t (at, n) ORDER BY n)"
    )
    await owner.execute(f"UPDATE inbound_seen SET until = until {earlier}")


async def test_a21_what_phones_send_uses_nothing_of_a_lines_limits(
    database: asyncpg.Pool,
) -> None:
    # Given a phone's message of several parts to a line
    await phones.deliver(database, *phones.parts(LONG, 7))
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # When it was kept, Then no limit was charged with it
    assert [message.body for message in await phones.received(database)] == [LONG]
    assert await database.fetchval("SELECT count(*) FROM limit_usage") == 0


async def test_a_message_belongs_to_the_account_of_its_line_and_answers_its_last_message(
    database: asyncpg.Pool,
) -> None:
    # Given two messages of Alice's to a phone, and one to another
    await phones.sent(database, ALICE, OWN_LINE, PHONE)
    last = await phones.sent(database, ALICE, OWN_LINE, PHONE)
    await phones.sent(database, ALICE, OWN_LINE, OTHER_PHONE)
    # When that phone answers, and one that nobody has ever sent to
    await phones.deliver(database, whole(b"yes"), whole(b"hello?", "+33612345670"))
    # Then Alice has both, in order, the first linked to the message it answers
    first, second = await phones.received(database)
    assert (first.sequence, first.body, first.answer_to) == (1, "yes", last.message_id)
    assert (second.sequence, second.body, second.answer_to) == (2, "hello?", None)
    assert (first.sender, first.recipient, first.encoding) == (PHONE, OWN_LINE, "gsm7")
    assert (first.part_count, list(first.missing)) == (1, [])
    assert await phones.received(database, BOB) == []


async def test_a_shared_number_belongs_to_whoever_spoke_last_with_the_phone(
    database: asyncpg.Pool,
) -> None:
    # Given a short code of two accounts, of which each has spoken with one phone last
    await phones.sent(database, BOB, SHARED_LINE, PHONE)
    of_alice = await phones.sent(database, ALICE, SHARED_LINE, PHONE)
    await phones.sent(database, ALICE, SHARED_LINE, OTHER_PHONE)
    of_bob = await phones.sent(database, BOB, SHARED_LINE, OTHER_PHONE)
    # When both answer, and a third to whom neither has spoken
    await phones.deliver(
        database,
        whole(b"a", PHONE, SHARED_LINE),
        whole(b"b", OTHER_PHONE, SHARED_LINE),
        whole(b"c", "+33612345670", SHARED_LINE),
        whole(b"d", PHONE, "+33700009999"),
    )
    # Then each has its own, and the operator what is nobody's
    [mine] = await phones.received(database, ALICE)
    [theirs] = await phones.received(database, BOB)
    assert (mine.body, mine.answer_to) == ("a", of_alice.message_id)
    assert (theirs.body, theirs.answer_to) == ("b", of_bob.message_id)
    lost = await phones.of_nobody(database)
    assert sorted(each.body or "" for each in lost) == ["c", "d"]
    assert {each.sequence for each in lost} == {None}


async def test_a_keyword_tells_whose_a_message_to_a_shared_number_is(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given a short code on which Bob has a word, and a phone to which Alice spoke last
    await owner.execute(
        "UPDATE lines SET keyword = 'ÉTÉ' WHERE sender = '36180' AND account_id = 2"
    )
    of_bob = await phones.sent(database, BOB, SHARED_LINE, PHONE)
    of_alice = await phones.sent(database, ALICE, SHARED_LINE, PHONE)
    # When it sends the word, in a message of its own, of many parts, and not as the first
    texts = (" été!", "Été 2 fois", "étés", "oui, été")
    for text in texts:
        part = InboundPart(PHONE, SHARED_LINE, Alphabet.UCS2, b"", text.encode("utf-16-be"))
        await phones.deliver(database, part)
    long, late = (phones.parts("été " + LONG, each, PHONE, SHARED_LINE) for each in (7, 8))
    await phones.deliver(database, *long, late[1])
    await inbound.sweep(database, SEALS, 0.0)
    # And a phone that nobody knows
    await phones.deliver(database, whole(b"lost", OTHER_PHONE, SHARED_LINE))
    unknown = InboundPart(OTHER_PHONE, SHARED_LINE, Alphabet.LATIN1, b"", "ÉTÉ".encode("latin-1"))
    await phones.deliver(database, unknown)
    # Then what begins with it is Bob's, and answers what he said last to that phone
    theirs = await phones.received(database, BOB)
    assert {each.body for each in theirs} == {*texts[:2], "été " + LONG, "ÉTÉ"}
    assert {each.answer_to for each in theirs} == {of_bob.message_id, None}
    # And all else is whose it was, also where the first word has not come
    mine = await phones.received(database, ALICE)
    assert [each.body for each in mine[:2]] == list(texts[2:])
    assert list(mine[2].missing) == [1]
    assert {each.answer_to for each in mine} == {of_alice.message_id}
    assert [each.body for each in await phones.of_nobody(database)] == ["lost"]


async def test_parts_are_joined_in_any_order_and_phones_with_one_reference_kept_apart(
    database: asyncpg.Pool,
) -> None:
    # Given two phones that use the same reference, and their parts mixed
    mine = phones.parts("M" + LONG, 7)
    theirs = phones.parts("T" + LONG, 7, OTHER_PHONE)
    assert len(mine) == len(theirs) == 2
    await phones.deliver(database, mine[1], theirs[0])
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    assert await phones.received(database) == []
    # When the others come
    await phones.deliver(database, theirs[1], mine[0])
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # Then each message is whole, and nothing waits
    found = {each.sender: each.body for each in await phones.received(database)}
    assert found == {PHONE: "M" + LONG, OTHER_PHONE: "T" + LONG}
    assert await database.fetchval("SELECT count(*) FROM inbound_parts") == 0


async def test_what_is_incomplete_is_handed_on_after_its_time_and_says_what_is_missing(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given a message of three parts whose second does not come
    text = "".join(f"{number:04}" for number in range(110))
    first, _, third = phones.parts(text, 9)
    await phones.deliver(database, third, first)
    await let_time_pass(owner, WAIT_SECONDS - 60)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    assert await phones.received(database) == []
    # When its time is over
    await let_time_pass(owner, 120)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # Then what has come is there, with the number of what has not
    [message] = await phones.received(database)
    assert (message.part_count, list(message.missing)) == (3, [2])
    assert message.body == text[:152] + text[304:]


async def test_a_delivery_that_is_repeated_is_kept_once(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given a message and one in parts, whose deliveries come twice, also after they were joined
    long = phones.parts(LONG, 7)
    await phones.deliver(database, whole(b"yes"), long[0], whole(b"yes"), long[0])
    await phones.deliver(database, whole(b"yes"), *long)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    await phones.deliver(database, *reversed(long))
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # Then each is there once, and no part waits in vain
    assert [each.body for each in await phones.received(database)] == ["yes", LONG]
    assert await database.fetchval("SELECT count(*) FROM inbound_parts") == 0
    # And the same word an hour later is another message
    await let_time_pass(owner, stored.REPEAT_SECONDS + 1)
    await phones.deliver(database, whole(b"yes"))
    assert [each.body for each in await phones.received(database)] == ["yes", LONG, "yes"]


async def test_a_phone_that_uses_one_reference_for_all_its_messages_is_understood(
    database: asyncpg.Pool,
) -> None:
    # Given two messages with one reference that come at once, and before them a part of a third
    lost = phones.parts("L" + LONG, 7)[0]
    first, second = phones.parts("A" + LONG + "A", 7), phones.parts("B" + LONG + "B", 7)
    await phones.deliver(database, lost, *first, *second)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # Then both are whole, and what lacked a part says so
    bodies = [(each.body, list(each.missing)) for each in await phones.received(database)]
    assert bodies[1:] == [("A" + LONG + "A", []), ("B" + LONG + "B", [])]
    assert bodies[0][1] == [2]


async def test_binary_is_kept_as_it_came(database: asyncpg.Pool) -> None:
    udh = b"\x06\x05\x04\x0b\x84\x23\xf0"
    await phones.deliver(
        database, InboundPart(PHONE, OWN_LINE, Alphabet.BINARY, udh, b"\x00\xff\x01")
    )
    [message] = await phones.received(database)
    assert (message.body, message.data, message.udh) == (None, b"\x00\xff\x01", udh)


async def test_many_processes_store_and_join_beside_each_other_and_nothing_is_lost_or_doubled(
    database: asyncpg.Pool,
) -> None:
    # Given 300 long messages of 100 phones, their parts mixed, each delivered twice
    chance = random.Random(7)
    texts = [f"{number:03}" + LONG for number in range(300)]
    deliveries = 2 * [
        part
        for number, text in enumerate(texts)
        for part in phones.parts(text, number // 100, f"+336{number % 100:08}")
    ]
    chance.shuffle(deliveries)
    # When four desks take them in while four joiners sweep
    ended = asyncio.Event()

    async def join() -> None:
        while not ended.is_set():
            await inbound.sweep(database, SEALS, WAIT_SECONDS)

    joining = [asyncio.ensure_future(join()) for _ in range(4)]
    await asyncio.gather(*(phones.deliver(database, *deliveries[n::4]) for n in range(4)))
    ended.set()
    await asyncio.gather(*joining)
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # Then each is there once, whole, numbered without a gap
    found = await phones.received(database)
    assert sorted(each.body or "" for each in found) == texts
    assert [each.sequence for each in found] == list(range(1, 301))
    assert await database.fetchval("SELECT count(*) FROM inbound_parts") == 0


async def test_a_desk_holds_no_more_than_it_may(database: asyncpg.Pool) -> None:
    # Given deliveries as large as SMPP lets them be
    sink = InboundDesk(database, SEALS).sink(1)
    large = whole(b"x" * 60_000)
    storing = [sink(large._replace(mark=b"%d" % number), _gone) for number in range(280)]
    # When they come faster than they are stored, Then one more is refused, and the carrier repeats
    with pytest.raises(batching.Overloaded):
        sink(large, _gone)
    await asyncio.gather(*storing)
    await sink(large, _gone)
    assert len(await phones.received(database)) == 281


async def test_deliveries_are_not_stored_while_the_database_refuses_them_and_are_when_they_return(
    owner: asyncpg.Connection, database: asyncpg.Pool, services_url: str
) -> None:
    # Given a database in which nothing can be written for a while
    await owner.execute("ALTER TABLE inbound RENAME TO gone")
    with pytest.raises(asyncpg.UndefinedTableError):
        await phones.deliver(database, whole(b"yes"))
    # When the carrier repeats it, Then it is there once
    await owner.execute("ALTER TABLE gone RENAME TO inbound")
    other = await pool.open_pool(as_services(services_url), "test", 2)
    await phones.deliver(other, whole(b"yes"))
    await pool.close_pool(other)
    assert [each.body for each in await phones.received(database)] == ["yes"]


async def test_an_account_is_told_of_each_of_its_messages_and_of_no_others(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    # Given messages that come whole, one twice, one in parts, and one that is nobody's
    await phones.deliver(database, whole(b"1"), whole(b"2"), whole(b"1"))
    await phones.deliver(database, whole(b"lost", recipient=SHARED_LINE))
    await events.number(owner)
    await phones.deliver(database, *phones.parts(LONG, 7))
    await inbound.sweep(database, SEALS, WAIT_SECONDS)
    # Then there is an event for each that the account reads, in the same order
    kept = await phones.received(database)
    assert [each.body for each in kept] == ["1", "2", LONG]
    async with database.acquire() as opened:
        told = {each: await events.after(opened, each, 0, 100) for each in (ALICE, BOB)}
    assert [(each.sequence, each.type, each.subject_id) for each in told[ALICE]] == [
        (each.sequence, "inbound.received", each.inbound_id) for each in kept
    ]
    assert told[BOB] == []
    assert await _untold(owner) == 0
    # And the audit would find one that is missing, and one that is nobody's
    await owner.execute("DELETE FROM event_pages WHERE last_sequence = 3")
    assert await _untold(owner) == 1
    await owner.execute("UPDATE inbound SET account_id = NULL, sequence = NULL")
    assert await _untold(owner) == 2


async def _untold(owner: asyncpg.Connection) -> int:
    found = await audit.examine(owner)
    return next(each.breach_count for each in found if each.check.name == "inbound_events")


async def test_a_phone_may_repeat_itself_once_its_carrier_has_heard_the_answer(
    database: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a desk, a link that stands and one that is cut before its answer can have arrived
    monkeypatch.setattr(desks, "HEARD_SECONDS", 0.05)
    desk = InboundDesk(database, SEALS)
    take = desk.sink(1)
    for text, still_there in ((b"1", lambda: True), (b"yes", _gone)):
        await take(whole(text), still_there)
    await asyncio.sleep(0.2)
    await desk.forget_heard()
    # When both texts come again
    await take(whole(b"1"), _gone)
    await take(whole(b"yes"), _gone)
    # Then the first was sent twice, and the second repeated by the carrier
    assert [each.body for each in await phones.received(database)] == ["1", "yes", "1"]


async def test_what_comes_again_no_more_is_forgotten(
    owner: asyncpg.Connection, database: asyncpg.Pool
) -> None:
    await phones.deliver(database, whole(b"yes"), phones.parts(LONG, 7)[0])
    await stored.forget_seen(database)
    assert await database.fetchval("SELECT count(*) FROM inbound_seen") == 2
    await let_time_pass(owner, stored.REPEAT_SECONDS + 1)
    await stored.forget_seen(database)
    assert await database.fetchval("SELECT count(*) FROM inbound_seen") == 0
