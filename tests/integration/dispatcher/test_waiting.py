"""What waits: parked lines, doubts, dead workers, messages whose time is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from services.dispatcher import park
from services.dispatcher.dispatch import dispatch
from services.dispatcher.schedule import Scheduler
from services.dispatcher.sweep import Sweeper
from shared.broker.envelopes import WorkItem
from shared.carriers import outcomes
from shared.limits.limiter import Wait
from shared.runtime import ids
from tests.integration.dispatcher.carrier import desk_of, send
from tests.integration.dispatcher.conftest import CREDIT_MICRO, LINE_LIMIT, Town

PAST_MS = 1_000


async def test_due_lines_release_what_they_have_tokens_for_urgent_first(town: Town) -> None:
    # given more parked than the line may send, the urgent ones last
    normal = await town.accept(LINE_LIMIT, line=town.small)
    urgent = await town.accept(3, line=town.small, message_class=0)
    await park.park(town.pool, [(item, Wait(PAST_MS)) for item in [*normal, *urgent]])
    # when the scheduler has its turn
    await Scheduler(town.pool, town.configured, town.limiter).turn()
    # then the urgent ones go first, then the oldest, as many as there are tokens
    released = {key for key, state in (await town.waiting()).items() if state == "ready"}
    assert released == {item.message_id for item in [*urgent, *normal[: LINE_LIMIT - 3]]}
    assert {await town.status(key) for key in released} == {"queued"}


async def test_a_line_without_tokens_is_told_when_to_come_back(town: Town) -> None:
    done = await dispatch(desk_of(town), 1, await town.accept(LINE_LIMIT + 1, line=town.small))
    assert len(done.to_send) == LINE_LIMIT
    await town.pool.execute("UPDATE parked_lines SET ready_at = now()")
    await Scheduler(town.pool, town.configured, town.limiter).turn()
    ready_at = await town.pool.fetchval("SELECT ready_at FROM parked_lines")
    assert ready_at > datetime.now(UTC) + timedelta(minutes=58)
    assert list((await town.waiting()).values()) == ["parked"]


async def test_a_raised_limit_wakes_the_line_at_once(town: Town) -> None:
    await dispatch(desk_of(town), 1, await town.accept(LINE_LIMIT + 4, line=town.small))
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    await town.pool.execute(
        "UPDATE lines SET hour_limit = $1 WHERE line_id = $2", LINE_LIMIT + 2, town.small.line_id
    )
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    await scheduler.wake_changed(town.configured.current)
    await scheduler.turn()
    assert sorted((await town.waiting()).values()) == ["parked", "parked", "ready", "ready"]


async def test_a_line_is_forgotten_when_nobody_is_parked_on_it(town: Town) -> None:
    (item,) = await town.accept(1, line=town.small)
    await park.park(town.pool, [(item, Wait(PAST_MS))])
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    await scheduler.turn()
    await town.pool.execute("UPDATE parked_lines SET ready_at = now()")
    await scheduler.turn()
    assert await town.pool.fetchval("SELECT count(*) FROM parked_lines") == 0


async def test_what_waited_past_its_validity_is_refunded(town: Town) -> None:
    # given messages whose time is over: some still leased by who accepted them, some not any more,
    # some in RabbitMQ
    leased, due, published = [await town.accept(5, line=town.small, valid_seconds=0) for _ in "123"]
    await _stand(town, due, "ready")
    await _stand(town, published, "published")
    # when they are swept
    sweeper = Sweeper(town.pool, ids.uuid7(), 60)
    await sweeper.expire()
    # then those end whom nobody is at
    assert {await town.status(each.message_id) for each in (*due, *published)} == {"expired"}
    assert {await town.status(each.message_id) for each in leased} == {"queued"}
    # and the others when their lease is over
    await _stand(town, leased, "ready")
    await sweeper.expire()
    assert {await town.status(each.message_id) for each in leased} == {"expired"}
    assert await town.balance_micro() == CREDIT_MICRO
    assert await town.waiting() == {}


async def _stand(town: Town, items: Sequence[WorkItem], state: str) -> None:
    """As the relay or RabbitMQ has them."""
    await town.pool.execute(
        "UPDATE work SET state = $2, ready_at = now() WHERE message_id = ANY ($1)",
        [each.message_id for each in items],
        state,
    )


async def test_what_a_dead_worker_was_submitting_is_in_doubt(town: Town) -> None:
    # given a worker that claimed and was never heard of again, and one that lives
    dead, living = ids.uuid7(), ids.uuid7()
    await Sweeper(town.pool, living, 60).beat()
    (lost,) = await town.accept(1)
    (kept,) = await town.accept(1)
    await dispatch(desk_of(town, dead), 1, [lost])
    await dispatch(desk_of(town, living), 1, [kept])
    sweeper = Sweeper(town.pool, living, 60)
    # when the living look for the dead
    await town.pool.execute("UPDATE workers SET seen_at = now()")
    await _let_server_be_old(town)
    await sweeper.doubt()
    assert await town.status(lost.message_id) == "in_doubt"
    assert await town.states(kept.message_id) == ["submitting"]


async def _let_server_be_old(town: Town) -> None:
    """Nobody counts as silent in the first seconds after PostgreSQL started."""
    await town.pool.fetchval(
        "SELECT pg_sleep(greatest(0, 10.2 - extract(epoch FROM"
        " clock_timestamp() - pg_postmaster_start_time())))",
        timeout=15,
    )


async def test_doubts_are_submitted_again_only_where_that_was_asked_for(town: Town) -> None:
    (once,) = await town.accept(1)
    (twice,) = await town.accept(1, at_least_once=True)
    for item in (once, twice):
        await send(town, item, [outcomes.LOST])
    sweeper = Sweeper(town.pool, ids.uuid7(), 0)
    await sweeper.resubmit()
    assert await town.waiting() == {twice.message_id: "ready"}
    # and only once more: a second doubt stays one
    await send(town, twice, [outcomes.LOST])
    await sweeper.resubmit()
    assert await town.waiting() == {}
    assert await town.status(twice.message_id) == "in_doubt"


async def test_what_was_throttled_counts_as_no_attempt(town: Town) -> None:
    (item,) = await town.accept(1, at_least_once=True)
    for _ in range(3):
        await send(town, item, [outcomes.Outcome(outcomes.OutcomeKind.THROTTLED)])
    await send(town, item, [outcomes.LOST])
    await Sweeper(town.pool, ids.uuid7(), 0).resubmit()
    assert await town.waiting() == {item.message_id: "ready"}
