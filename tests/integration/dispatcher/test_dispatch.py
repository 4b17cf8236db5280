"""From permit to recorded answer: the intent before the bytes, and nothing twice (laws 3 and 6)."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import msgspec
import pytest

from services.dispatcher import claim
from services.dispatcher.dispatch import Desk, Dispatched, LineUnknown, dispatch
from services.dispatcher.sweep import Sweeper
from shared.broker import envelopes
from shared.carriers import outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.limits import limiter as limits
from shared.limits import permits
from shared.limits.limiter import PERMIT_AGE_SECONDS, Permit, Wait
from shared.limits.pace import Pace
from shared.runtime import ids, redis_link
from tests.integration.dispatcher.carrier import ACCEPTED, REJECTED, THROTTLED, desk_of, send
from tests.integration.dispatcher.conftest import (
    CREDIT_MICRO,
    LINE_LIMIT,
    PRICE_MICRO,
    Town,
)
from tests.keys import SEALS


async def test_an_accepted_message_is_submitted_and_leaves_the_work(town: Town) -> None:
    (item,) = await town.accept(1)
    carrier = await send(town, item, [ACCEPTED])
    (segment,) = carrier.submitted
    assert segment.leave_by <= time.monotonic() + PERMIT_AGE_SECONDS
    assert await town.states(item.message_id) == ["submitted"]
    assert await town.status(item.message_id) == "submitted"
    assert await town.waiting() == {}


async def test_parts_go_in_order_and_the_rest_is_refunded_when_one_is_refused(town: Town) -> None:
    (item,) = await town.accept(1, segment_count=3)
    assert await town.balance_micro() == CREDIT_MICRO - 3 * PRICE_MICRO
    carrier = await send(town, item, [ACCEPTED, REJECTED])
    assert [segment.part for segment in carrier.submitted] == [1, 2]
    assert await town.states(item.message_id) == ["submitted", "rejected", "canceled"]
    # The first part was taken and is paid for; the others were not.
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO


async def test_a_throttled_part_waits_and_the_message_is_sent_on(town: Town) -> None:
    (item,) = await town.accept(1, segment_count=2)
    await send(town, item, [ACCEPTED, THROTTLED])
    assert await town.states(item.message_id) == ["submitted", "queued"]
    assert await town.waiting() == {item.message_id: "scheduled"}
    assert await town.status(item.message_id) == "queued"
    # when it comes up again, only the part that was not taken is submitted
    rest = msgspec.structs.replace(item, segment_count=1)
    carrier = await send(town, rest, [Outcome(OutcomeKind.ACCEPTED, "id-2")])
    assert [segment.part for segment in carrier.submitted] == [2]
    assert await town.status(item.message_id) == "submitted"


async def test_a_lost_answer_is_in_doubt_and_never_sent_again(town: Town) -> None:
    (item,) = await town.accept(1)
    await send(town, item, [outcomes.LOST])
    assert await town.status(item.message_id) == "in_doubt"
    assert await town.waiting() == {}
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO
    # a repeated delivery finds nothing to claim
    done = await dispatch(desk_of(town), 1, [item])
    assert (done.to_send, done.at_rest) == ([], {item.message_id})


async def test_one_of_two_workers_claims_a_message_that_both_hold(town: Town) -> None:
    items = await town.accept(50)
    first, second = await asyncio.gather(
        dispatch(desk_of(town), 1, items), dispatch(desk_of(town), 1, list(reversed(items)))
    )
    claimed = [message.message_id for done in (first, second) for message, _ in done.to_send]
    assert sorted(claimed) == sorted(item.message_id for item in items)


async def test_a_message_past_its_validity_is_expired_and_refunded_not_sent(town: Town) -> None:
    (item,) = await town.accept(1, valid_seconds=0)
    done = await dispatch(desk_of(town), 1, [item])
    assert (done.to_send, done.at_rest) == ([], {item.message_id})
    await town.pool.execute("UPDATE work SET state = 'published'")
    await Sweeper(town.pool, ids.uuid7(), 60).expire()
    assert await town.status(item.message_id) == "expired"
    assert await town.balance_micro() == CREDIT_MICRO


async def test_what_a_full_line_cannot_send_is_parked(town: Town) -> None:
    items = await town.accept(LINE_LIMIT + 5, line=town.small)
    done = await dispatch(desk_of(town), 1, items)
    assert len(done.to_send) == LINE_LIMIT
    assert len(done.at_rest) == 5
    waiting = await town.waiting()
    assert sorted(waiting.values()) == ["parked"] * 5
    for message_id in waiting:
        assert await town.status(message_id) == "parked"


async def test_newcomers_wait_behind_the_parked_and_other_lines_do_not_notice(town: Town) -> None:
    await dispatch(desk_of(town), 1, await town.accept(LINE_LIMIT + 1, line=town.small))
    newcomers = await town.accept(3, line=town.small)
    others = await town.accept(3, line=town.large)
    done = await dispatch(desk_of(town), 1, [*newcomers, *others])
    assert {m.message_id for m, _ in done.to_send} == {item.message_id for item in others}
    assert done.at_rest == {item.message_id for item in newcomers}


async def test_a_wiped_limiter_is_rebuilt_from_what_was_committed(town: Town) -> None:
    # given a line that has used 7 of its 10
    first = await dispatch(desk_of(town), 1, await town.accept(7, line=town.small))
    assert len(first.to_send) == 7
    # when Redis loses everything
    await town.redis.flushall()
    # then the next permits know of the seven
    second = await dispatch(desk_of(town), 1, await town.accept(7, line=town.small))
    assert len(second.to_send) == LINE_LIMIT - 7


async def test_a_permit_from_before_a_wipe_commits_nothing(town: Town) -> None:
    # given a permit that its worker holds while the limiter is wiped and rebuilt
    items = await town.accept(2, line=town.small)
    (old, _) = await town.limiter.take(town.configured.current, items)
    assert isinstance(old, Permit)
    await town.redis.flushall()
    await town.limiter.take(town.configured.current, items[1:])
    # when it is used, then the fence refuses, and the message still waits
    with pytest.raises(claim.StaleEpoch):
        await claim.claim(town.pool, SEALS, ids.uuid7(), 1, [(items[0], old)])
    assert items[0].message_id in await town.waiting()
    assert await town.states(items[0].message_id) == ["queued"]


@pytest.mark.parametrize("ahead_seconds", [3600, 3, -3])
async def test_nothing_is_claimed_while_redis_and_postgresql_disagree_about_the_time(
    town: Town, monkeypatch: pytest.MonkeyPatch, ahead_seconds: int
) -> None:
    # Given a line that has used half of what it may, and a Redis whose clock has jumped
    items = await town.accept(LINE_LIMIT, line=town.small)
    assert len((await dispatch(desk_of(town), 1, items[: LINE_LIMIT // 2])).to_send) == 5
    source = Path(permits.__file__).with_name("permit.lua").read_text(encoding="utf-8")
    clock = "return time[1] * 1000"
    assert source.count(clock) == 1
    jumped = redis_link.Script(source.replace(clock, f"return (time[1] + {ahead_seconds}) * 1000"))
    with monkeypatch.context() as patched:
        patched.setattr(permits, "_SCRIPT", jumped)
        # When more is to go
        done = await dispatch(desk_of(town), 1, items[LINE_LIMIT // 2 :])
    # Then nothing does, and it is tried again
    assert isinstance(done.fault, claim.ClocksApart)
    assert (done.to_send, done.at_rest) == ([], set())
    assert len(await town.waiting()) == 5
    # When the clocks agree again, what is left of the limit can be used, and no more
    again = await dispatch(desk_of(town), 1, items[LINE_LIMIT // 2 :])
    assert len(again.to_send) == 5
    assert await town.used() == LINE_LIMIT


async def test_an_epoch_never_comes_back_after_a_wipe(town: Town) -> None:
    # given workers that all notice a wipe at once, again and again
    workers = [limits.Limiter(town.pool, town.limiter._permits) for _ in range(4)]
    items = await town.accept(1)
    seen: set[int] = set()
    for _ in range(5):
        verdicts = await asyncio.gather(
            *(worker.take(town.configured.current, items) for worker in workers),
            return_exceptions=True,
        )
        # then what they are granted is of epochs that were never in force before the wipe
        granted = {
            verdict[0].epoch
            for verdict in verdicts
            if isinstance(verdict, list) and isinstance(verdict[0], Permit)
        }
        assert not granted & seen
        seen |= granted
        await town.redis.flushall()


async def test_no_wipe_at_any_moment_lets_a_line_over_its_limit(town: Town) -> None:
    # given several workers on one line and a limiter that is wiped again and again
    items = await town.accept(60, line=town.small)
    stop = asyncio.Event()

    async def wipe() -> None:
        while not stop.is_set():
            await town.redis.flushall()
            await asyncio.sleep(random.uniform(0, 0.006))

    async def work(share: list[envelopes.WorkItem]) -> int:
        limiter = limits.Limiter(town.pool, town.limiter._permits)
        desk = Desk(town.pool, town.configured, ids.uuid7(), limiter, Pace(town.redis), SEALS)
        sent = 0
        for item in share:
            done: Dispatched = await dispatch(desk, 1, [item])
            sent += len(done.to_send)
        return sent

    wiping = asyncio.create_task(wipe())
    sent = await asyncio.gather(*(work(items[start::4]) for start in range(4)))
    stop.set()
    await wiping
    # then never more than the limit was committed, and what was not sent still waits
    assert sum(sent) <= LINE_LIMIT
    assert len(await town.waiting()) == 60 - sum(sent)
    used = await town.pool.fetchval(
        "SELECT coalesce(sum(segment_count), 0) FROM limit_usage WHERE scope = $1",
        f"line:{town.small.line_id}",
    )
    assert used == sum(sent)


async def test_a_refusal_says_when_the_tokens_return(town: Town) -> None:
    await dispatch(desk_of(town), 1, await town.accept(LINE_LIMIT, line=town.small))
    (verdict,) = await town.limiter.take(
        town.configured.current, await town.accept(1, line=town.small)
    )
    assert isinstance(verdict, Wait)
    seconds, _ = await town.redis.time()
    # One full hour after the slot they were taken in, and by how much longer they stay out.
    late_seconds = permits.LATE_MS / 1000
    assert -30 <= verdict.ready_at_ms / 1000 - seconds - 3600 - late_seconds <= 60


async def test_a_message_of_a_line_not_known_yet_is_tried_again(town: Town) -> None:
    # given a line that is newer than what this process has read
    (item,) = await town.accept(1)
    newer = msgspec.structs.replace(item, line_id=item.line_id + 1000)
    known = await town.accept(1)
    # when both are dispatched
    done = await dispatch(desk_of(town), 1, [newer, *known])
    # then the known one goes, and the other is neither sent nor forgotten
    assert [message.message_id for message, _ in done.to_send] == [known[0].message_id]
    assert done.at_rest == set()
    assert isinstance(done.fault, LineUnknown)


async def test_a_message_that_nobody_knows_is_at_rest(town: Town) -> None:
    stranger = envelopes.WorkItem(ids.uuid7(), 1, 4711, "FR", 1, 0)
    done = await dispatch(desk_of(town), 1, [stranger])
    assert (done.to_send, done.at_rest, done.fault) == ([], {stranger.message_id}, None)
