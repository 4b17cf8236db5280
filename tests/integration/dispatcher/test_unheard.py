"""Claims whose commit was not heard of: their tokens are free again, and nothing goes out twice."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from services.dispatcher import claim, unheard
from services.dispatcher.dispatch import Desk, dispatch
from shared.db import connection, segments, submits
from shared.limits.limiter import Permit
from shared.sms.states import SegmentState
from tests.integration.dispatcher.carrier import desk_of
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town
from tests.keys import SEALS

COUNT = 4


async def granted_for(town: Town, desk: Desk) -> list[claim.Granted]:
    """Messages of the small line, and the permits they have got."""
    items = await town.accept(COUNT, line=town.small)
    verdicts = await desk.limiter.take(town.configured.current, items)
    return [
        (item, verdict)
        for item, verdict in zip(items, verdicts, strict=True)
        if isinstance(verdict, Permit)
    ]


async def transaction_of(opened: asyncpg.Pool) -> connection.Transaction:
    """The transaction that made the claims there are."""
    row = await opened.fetchrow("SELECT xmin::text, submitted_at FROM submits LIMIT 1")
    assert row is not None
    return connection.Transaction(*row)


@pytest.mark.parametrize("is_committed", [True, False])
async def test_the_tokens_of_an_unheard_claim_are_free_again(
    town: Town, is_committed: bool
) -> None:
    # given a claim whose worker has not heard what became of its commit
    desk = desk_of(town)
    granted = await granted_for(town, desk)
    assert await town.room() == LINE_LIMIT - COUNT
    if is_committed:
        await claim.claim(town.pool, SEALS, desk.worker_id, 1, granted)
        transaction = await transaction_of(town.pool)
    else:
        async with town.pool.acquire() as opened:
            undone = opened.transaction()
            await undone.start()
            row = await opened.fetchrow("SELECT pg_current_xact_id()::text, now()")
            await undone.rollback()
        assert row is not None
        transaction = connection.Transaction(*row)
    desk.unheard[transaction] = granted
    # when it asks
    await unheard.put_back(desk)
    # then all of it waits again, and its line may send as much as before
    assert [await town.states(item.message_id) for item, _ in granted] == [["queued"]] * COUNT
    assert (await town.used(), await town.room()) == (0, LINE_LIMIT)
    # and only once
    await unheard.put_back(desk)
    assert (await town.used(), await town.room()) == (0, LINE_LIMIT)


async def test_what_another_has_ended_stays_charged(town: Town) -> None:
    # given an unheard claim of four, two of which another worker has found to be in doubt
    desk = desk_of(town)
    granted = await granted_for(town, desk)
    await claim.claim(town.pool, SEALS, desk.worker_id, 1, granted)
    transaction = await transaction_of(town.pool)
    async with town.pool.acquire() as opened, opened.transaction():
        found = await submits.claimed_in(opened, desk.worker_id, transaction)
        await segments.settle_all(opened, found[:2], SegmentState.IN_DOUBT)
    desk.unheard[transaction] = granted
    # when its worker asks
    await unheard.put_back(desk)
    # then it is told of the others alone
    assert (await town.used(), await town.room()) == (2, LINE_LIMIT - 2)


async def test_a_claim_is_left_alone_when_it_bears_the_id_of_one_that_a_crash_swallowed(
    town: Town,
) -> None:
    # given a claim that is on its way to the carrier, and the memory of an earlier one of the same
    # worker whose commit was not heard of: PostgreSQL crashed, and gave its id once more
    desk = desk_of(town)
    ((item, _),) = (await dispatch(desk, 1, await town.accept(1))).to_send
    heard_late = await transaction_of(town.pool)
    swallowed = heard_late._replace(began_at=heard_late.began_at - timedelta(seconds=5))
    # when the worker asks what became of the earlier one
    desk.unheard[swallowed] = []
    await unheard.put_back(desk)
    # then it is settled, and the later claim is not submitted a second time
    assert desk.unheard == {}
    assert await town.states(item.message_id) == ["submitting"]
    # but what it claimed and did not hear of is queued again
    desk.unheard[heard_late] = []
    await unheard.put_back(desk)
    assert await town.states(item.message_id) == ["queued"]
