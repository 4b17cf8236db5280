"""Parking at scale, small: what waits costs nothing, what is due goes at once, and one long queue
is not in the way of others. `./test bench lines` is the large form."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import asyncpg
import pytest

from services.dispatcher.dispatch import dispatch
from services.dispatcher.schedule import Scheduler
from shared.db import apply, audit, configuration, published, work
from tests.bench.lines import population
from tests.integration.dispatcher.carrier import desk_of
from tests.integration.dispatcher.conftest import Town

LINE_COUNT, QUEUE_COUNT = 1_000, 10_000
SENT_COUNT = 20
IDLE_TURNS = 50
IDLE_SECONDS, DUE_SECONDS, TURN_SECONDS = 1.0, 2.0, 1.0

_LINES = """
INSERT INTO lines
    (account_id, sender, kind, country, is_default, hour_limit, day_limit, month_limit)
SELECT 1, 'L' || n, 'alphanumeric', 'FR', false, 100, 1000, 10000 FROM generate_series(1, $1) n
RETURNING line_id"""


@pytest.fixture
async def lines(town: Town, database_url: str) -> list[int]:
    """Lines with a parked message each, whose time has not come."""
    async with town.pool.acquire() as opened, opened.transaction():
        await apply.put(opened, apply.Price("FR", "EUR", 1_000), None)
        made = [row["line_id"] for row in await opened.fetch(_LINES, LINE_COUNT)]
        await configuration.bump(opened)
    await town.configured.refresh()
    await _park(database_url, made, 1)
    return made


async def _park(database_url: str, line_ids: list[int], each_count: int) -> None:
    owner = await asyncpg.connect(database_url, timeout=10)
    try:
        await population.park(owner, line_ids, each_count)
    finally:
        await owner.close(timeout=10)


async def test_lines_that_wait_cost_nothing_and_go_when_they_are_due(
    town: Town, lines: list[int]
) -> None:
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    # Given many lines with parked messages, When nothing is due, Then turns do nothing
    began = time.monotonic()
    for _ in range(IDLE_TURNS):
        await scheduler.turn()
    assert time.monotonic() - began < IDLE_SECONDS
    assert set((await town.waiting()).values()) == {"parked"}
    # When all are due at once, Then all are let go in time
    await town.pool.execute("UPDATE parked_lines SET ready_at = now()")
    began = time.monotonic()
    await scheduler.turn()
    assert time.monotonic() - began < DUE_SECONDS
    assert set((await town.waiting()).values()) == {"ready"}


async def test_what_is_sent_on_other_lines_reads_nothing_of_a_long_queue(
    town: Town, lines: list[int], database_url: str
) -> None:
    # Given ten thousand messages parked on a line
    await _park(database_url, [town.small.line_id], QUEUE_COUNT)
    before = await _read_count(town)
    # When messages on another are accepted, relayed, dispatched, and looked after
    items = await town.accept(SENT_COUNT)
    async with town.pool.acquire() as opened:
        await work.ready_lanes(opened)
        await work.take_ready(opened, 1, 1, 8.0, 2_000)
        await work.take_due(opened, 2_000)
        await work.take_expired(opened, 500)
        await published.leased(opened, 1.5, 5.0)
        await published.ages(opened)
        await work.unpublished_count(opened, 1_000_000)
    assert len((await dispatch(desk_of(town), 1, items)).to_send) == SENT_COUNT
    await Scheduler(town.pool, town.configured, town.limiter).turn()
    # Then each of them was read a few times, and no other
    assert 0 < await _read_count(town) - before < 10 * SENT_COUNT


async def _read_count(town: Town) -> int:
    """Rows and entries of `work` that were read so far, also by the pool's other connections."""
    async with AsyncExitStack() as stack:
        for _ in range(town.pool.get_max_size()):
            opened = await stack.enter_async_context(town.pool.acquire())
            await opened.execute("SELECT pg_stat_force_next_flush()")
    return int(
        await town.pool.fetchval(
            "SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i"
            " WHERE i.relname = 'work') FROM pg_stat_user_tables t WHERE t.relname = 'work'"
        )
    )


async def test_a_long_queue_on_one_line_does_not_hold_up_a_turn(
    town: Town, lines: list[int], database_url: str
) -> None:
    # Given ten thousand messages on a line, which may send a few of them
    await _park(database_url, [town.small.line_id], QUEUE_COUNT)
    due = [town.small.line_id, *lines[:50]]
    await town.pool.execute(
        "UPDATE parked_lines SET ready_at = now() WHERE line_id = ANY ($1)", due
    )
    # When it is due together with others, Then all of them have their turn in no time
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    began = time.monotonic()
    await scheduler.turn()
    assert time.monotonic() - began < TURN_SECONDS
    rows = await town.pool.fetch("SELECT DISTINCT line_id FROM work WHERE state = 'ready'")
    assert {row["line_id"] for row in rows} == set(due)
    # And what was made up agrees with every book, also when it was away for a while
    owner = await asyncpg.connect(database_url, timeout=10)
    try:
        waiting = len(await town.waiting())
        await population.set_aside(owner, town.small.line_id)
        assert len(await town.waiting()) < waiting - QUEUE_COUNT // 2
        await population.bring_back(owner, town.small.line_id)
        assert len(await town.waiting()) == waiting
    finally:
        await owner.close(timeout=10)
    async with town.pool.acquire() as opened:
        found = await audit.examine(opened)
    assert {finding.check.name: finding.rows for finding in found if finding.rows} == {}
