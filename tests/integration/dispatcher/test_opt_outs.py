"""A phone that has opted out: nothing is submitted to it whose intent commits later, and what was
paid comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from services.dispatcher import sweep
from services.dispatcher.dispatch import dispatch
from services.dispatcher.sweep import Sweeper
from shared.broker import envelopes
from shared.db import auto_replies, connection, events, limits, opt_outs
from shared.db.auto_replies import AutoReply
from shared.db.opt_outs import NewOptOut, OptOutSource, PhoneOfAccount
from shared.runtime import ids
from tests.claims import claim
from tests.integration.dispatcher.carrier import ACCEPTED, THROTTLED, desk_of, send
from tests.integration.dispatcher.conftest import CREDIT_MICRO, LINE_LIMIT, PRICE_MICRO, Town

PHONE = PhoneOfAccount(1, "+33612345678")
LINE = "+33698765432"


@asynccontextmanager
async def changing(town: Town) -> AsyncIterator[connection.Connection]:
    """A transaction that changes opt-outs, in its turn."""
    async with town.pool.acquire() as opened, opened.transaction():
        await opt_outs.take_turn(opened)
        yield opened


async def opt_out(town: Town, phone: PhoneOfAccount = PHONE) -> None:
    async with changing(town) as opened:
        new = NewOptOut(ids.uuid7(), *phone, OptOutSource.PHONE, "stop", LINE)
        await opt_outs.tell(opened, await opt_outs.create(opened, [new]))


async def reasons(town: Town, item: envelopes.WorkItem) -> set[str]:
    rows = await town.pool.fetch(
        "SELECT reason FROM messages WHERE message_id = $1 UNION"
        " SELECT reason FROM segments WHERE message_id = $1",
        item.message_id,
    )
    return {row["reason"] for row in rows}


async def test_what_is_claimed_for_a_phone_that_has_opted_out_is_canceled_and_refunded(
    town: Town,
) -> None:
    # Given two messages on a line of few tokens, one of them for a phone that then opts out
    stays, goes = (*await town.accept(1, line=town.small), *await town.accept(1, line=town.small))
    await town.pool.execute(
        "UPDATE messages SET recipient = '+33612345670' WHERE message_id = $1", stays.message_id
    )
    await opt_out(town)
    # When both are dispatched together
    done = await dispatch(desk_of(town), 1, [stays, goes])
    # Then the other is sent; this one has ended, is refunded, and its producer is told
    assert [message.message_id for message, _ in done.to_send] == [stays.message_id]
    assert done.at_rest == {goes.message_id}
    assert await town.states(goes.message_id) == ["canceled"]
    assert await reasons(town, goes) == {opt_outs.REASON}
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO
    async with town.pool.acquire() as opened:
        logged = await events.after(opened, 1, 0, 10)
    assert [(each.type, each.reason) for each in logged] == [
        ("opt_out.created", ""),
        ("message.canceled", opt_outs.REASON),
    ]
    # And only what was sent counts against its line
    assert await town.used() == 1
    assert await town.room() == LINE_LIMIT - 1


async def test_what_was_put_off_is_looked_at_again(town: Town) -> None:
    # Given a message whose carrier has asked for patience
    (item,) = await town.accept(1)
    await send(town, item, [THROTTLED])
    # When its phone opts out before the next try
    await opt_out(town)
    done = await dispatch(desk_of(town), 1, [item])
    # Then there is none
    assert done.to_send == []
    assert await town.status(item.message_id) == "canceled"
    assert await town.balance_micro() == CREDIT_MICRO


async def test_of_a_long_message_the_rest_is_canceled(town: Town) -> None:
    # Given a long message of which the carrier took one part and put off the other
    (item,) = await town.accept(1, segment_count=2)
    await send(town, item, [ACCEPTED, THROTTLED])
    await opt_out(town)
    # When the rest is tried
    done = await dispatch(desk_of(town), 1, [msgspec.structs.replace(item, segment_count=1)])
    # Then it is refunded, and the part on the air is not
    assert done.to_send == []
    assert await town.states(item.message_id) == ["submitted", "canceled"]
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO


async def test_the_answer_to_a_phones_word_is_sent_all_the_same(town: Town) -> None:
    # Given a phone that has opted out, and is owed an answer
    (item,) = await town.accept(1)
    await opt_out(town)
    async with changing(town) as opened:
        reply = AutoReply(item.message_id, PHONE.account_id, LINE, PHONE.recipient, "stop", "en")
        await auto_replies.owe(opened, [reply])
    # When that is dispatched, Then it goes
    done = await dispatch(desk_of(town), 1, [item])
    assert [message.message_id for message, _ in done.to_send] == [item.message_id]


async def test_who_opts_in_again_is_written_to(town: Town) -> None:
    await opt_out(town)
    (item,) = await town.accept(1)
    async with changing(town) as opened:
        ended = await opt_outs.end(opened, [PHONE], OptOutSource.PHONE, "start")
        await opt_outs.tell(opened, ended=ended)
    done = await dispatch(desk_of(town), 1, [item])
    assert [message.message_id for message, _ in done.to_send] == [item.message_id]


async def test_an_opt_out_waits_for_claims_under_way_and_later_ones_see_it(town: Town) -> None:
    first, second = await town.accept(2)
    # Given a claim under way, and an opt-out that has begun
    async with town.pool.acquire() as opened, limits.behind_fence(opened):
        opting_out = asyncio.create_task(opt_out(town))
        assert await _waits(town, 1)
        assert await town.pool.fetchval("SELECT count(*) FROM opt_outs") == 0
        # And another claim, that came after both
        dispatching = asyncio.create_task(dispatch(desk_of(town), 1, [second]))
        assert await _waits(town, 2)
        # When the first one goes on, it does not see the opt-out, which is later
        (claimed,) = await claim(opened, [first.message_id], ids.uuid7())
        assert not claimed.opted_out
        assert not opting_out.done()
        assert not dispatching.done()
    # Then the opt-out is committed next, and the second claim is after it
    await opting_out
    done = await dispatching
    assert done.fault is None
    assert done.to_send == []
    assert await town.status(second.message_id) == "canceled"
    assert await town.states(first.message_id) == ["submitting"]


async def _waits(town: Town, count: int) -> bool:
    """Whether so many come to wait for the fence."""
    for _ in range(200):
        waiting = await town.pool.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        if waiting == count:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_what_waits_is_canceled_at_once_where_a_phone_can_answer(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = town.large._replace(sender=LINE)
    # Given three messages from a number, one from a name, and an answer that the phone is owed
    waiting = await town.accept(3, line=line)
    (of_a_name,) = await town.accept(1)
    (owed,) = await town.accept(1, line=line)
    async with changing(town) as opened:
        reply = AutoReply(owed.message_id, PHONE.account_id, LINE, PHONE.recipient, "stop", "en")
        await auto_replies.owe(opened, [reply])
    # When it has opted out, and a dispatcher sweeps, a page of two at a time
    monkeypatch.setattr(sweep, "PAGE_COUNT", 2)
    await opt_out(town)
    sweeper = Sweeper(town.pool, ids.uuid7(), 60.0)
    await sweeper.cancel_opted_out()
    # Then those from the number it could answer have ended; the others wait for their claim
    assert [await town.status(each.message_id) for each in waiting] == ["canceled"] * 3
    assert set(await town.waiting()) == {of_a_name.message_id, owed.message_id}
    assert await town.balance_micro() == CREDIT_MICRO - 2 * PRICE_MICRO
    # And nobody looks for that phone's messages again
    assert await town.pool.fetchval("SELECT count(*) FROM opt_outs WHERE is_new") == 0
