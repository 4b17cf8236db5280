"""Tokens that come back: who was told to wait for them in vain goes now, not after the window."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.dispatcher import claim, dispatch, park
from services.dispatcher.dispatch import Desk
from services.dispatcher.schedule import Scheduler
from shared.broker.envelopes import WorkItem
from shared.db import pool
from shared.limits.limiter import Limiter, Permit, Wait
from shared.limits.permits import Permits
from shared.runtime import ids
from tests.integration.dispatcher.carrier import desk_of
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town
from tests.keys import SEALS

MORE_COUNT = 4


async def permits_of(town: Town, desk: Desk, items: list[WorkItem]) -> list[claim.Unused]:
    verdicts = await desk.limiter.take(town.configured.current, items)
    return [
        claim.Unused(item, verdict, item.segment_count)
        for item, verdict in zip(items, verdicts, strict=True)
        if isinstance(verdict, Permit)
    ]


async def test_a_batch_that_could_not_be_claimed_leaves_with_the_tokens_it_gave_back(
    town: Town, database_url: str
) -> None:
    # given a batch with more than its line has tokens for, and PostgreSQL, which is away just then
    items = await town.accept(LINE_LIMIT + MORE_COUNT, line=town.small)
    away = await pool.open_pool(database_url, "away", 1)
    unlucky = Desk(away, town.configured, ids.uuid7(), town.limiter, desk_of(town).pace, SEALS)
    await away.close()
    failed = await dispatch.dispatch(unlucky, 1, items)
    assert (failed.to_send, failed.at_rest) == ([], set())
    # when it is tried again, behind the gate that the first try has shut
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    await dispatch.dispatch(desk_of(town), 1, items)
    await scheduler.turn()
    # then as many as the line may send are let go at once
    assert (
        sorted((await town.waiting()).values()) == ["parked"] * MORE_COUNT + ["ready"] * LINE_LIMIT
    )


async def test_parked_messages_go_when_a_permit_comes_back_unused(town: Town) -> None:
    # given a full line, with messages that were told to wait for an hour
    desk = desk_of(town)
    unused = await permits_of(town, desk, await town.accept(LINE_LIMIT, line=town.small))
    waiting = await town.accept(MORE_COUNT, line=town.small)
    assert (await dispatch.dispatch(desk, 1, waiting)).to_send == []
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    await scheduler.turn()
    ready_at = await town.pool.fetchval("SELECT ready_at FROM parked_lines")
    assert ready_at > datetime.now(UTC) + timedelta(minutes=58)
    # when two permits are proved unused
    await claim.give_back(desk.limiter, unused[:2])
    await scheduler.turn()
    # then two of them go
    states = await town.waiting()
    assert [states[item.message_id] for item in waiting] == ["ready"] * 2 + ["parked"] * 2


async def test_what_is_parked_a_little_later_is_found_too(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a message that was refused before a permit came back, and is parked only after its line
    # was woken for that
    monkeypatch.setattr("services.dispatcher.schedule.PERMIT_AGE_SECONDS", 0.2)
    desk = desk_of(town)
    unused = await permits_of(town, desk, await town.accept(LINE_LIMIT, line=town.small))
    (late,) = await town.accept(1, line=town.small)
    (told,) = await desk.limiter.take(town.configured.current, [late])
    assert isinstance(told, Wait)
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    await claim.give_back(desk.limiter, unused[:1])
    await scheduler.turn()
    await park.park(town.pool, [(late, told)])
    # when its line is woken once more
    for _ in range(30):
        await scheduler.turn()
        if (await town.waiting())[late.message_id] == "ready":
            break
        await asyncio.sleep(0.05)
    # then it goes
    assert (await town.waiting())[late.message_id] == "ready"


async def test_a_take_that_breaks_off_half_way_keeps_no_tokens(
    town: Town, database_url: str
) -> None:
    # given a line that Redis knows and one that it does not, and PostgreSQL, which is away just
    # when that is to be filled
    known = await town.accept(2, line=town.small)
    unknown = await town.accept(1, line=town.large)
    away = await pool.open_pool(database_url, "away", 1)
    limiter = Limiter(away, Permits(town.redis))
    for permit in await limiter.take(town.configured.current, known):
        assert isinstance(permit, Permit)
        await limiter.give_back(permit)
    await away.close()
    # when permits are asked for both
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await limiter.take(town.configured.current, [*known, *unknown])
    # then the first line's are free again
    assert await town.room() == LINE_LIMIT
