"""Looking at what is used of limits: it takes nothing, and the limiter and the records agree."""

from __future__ import annotations

import random
import time
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio

from shared.db import limits
from shared.limits import permits, usage
from shared.runtime import redis_link
from tests.integration.limits import oracle, virtual_clock

EPOCH = 7
LINE, OTHER = "line:a", "line:b"
WORKER = UUID(int=1)


async def _installed(link: redis.asyncio.Redis, *names: str) -> permits.Permits:
    taking = permits.Permits(link)
    await taking.install_epoch(EPOCH)
    await taking.fill(EPOCH, {name: [] for name in names})
    return taking


async def test_a_look_tells_what_is_out_and_when_the_first_of_it_returns(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given a line that nothing was sent from, and then two permits an hour and a half apart
    taking = await _installed(link, LINE)
    scope = permits.Scope(LINE, hour=10)
    assert await taking.look(EPOCH, [LINE]) == {LINE: [(0, 0)] * 3}
    first_ms = clock.now
    await taking.take(EPOCH, [permits.Request((scope,), 3)])
    await clock.advance(oracle.HOUR_MS * 3 // 2)
    second_ms = clock.now
    await taking.take(EPOCH, [permits.Request((scope,), 2)])

    # When it is looked at, Then the hour knows the second alone, the others both
    looked = (await taking.look(EPOCH, [LINE]))[LINE]
    returns = [
        (at_ms // slot_ms + 1) * slot_ms + length_ms + permits.LATE_MS
        for (slot_ms, length_ms), at_ms in zip(
            oracle.WINDOWS, (second_ms, first_ms, first_ms), strict=True
        )
    ]
    assert looked == [(2, returns[0]), (5, returns[1]), (5, returns[2])]

    # And what was given back is not out, nor named as what returns
    await taking.give_back(EPOCH, [LINE], 2, second_ms)
    assert (await taking.look(EPOCH, [LINE]))[LINE][0] == (0, 0)


async def test_a_look_tells_of_the_second_where_it_is_limited(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given a line of five a second, which has taken two of them
    taking = await _installed(link, LINE)
    scope = permits.Scope(LINE, hour=10, second=5)
    taken_ms = clock.now
    await taking.take(EPOCH, [permits.Request((scope,), 2)])

    # When it is looked at, Then two are out of the second, and return with their tenth of it
    hour, _, _, second = (await taking.look(EPOCH, [LINE]))[LINE]
    assert (hour.segments, second) == (2, (2, (taken_ms // 100 + 1) * 100 + 1_000))

    # And a second later none is, while the hour's still are
    await clock.advance(1_200)
    hour, _, _, second = (await taking.look(EPOCH, [LINE]))[LINE]
    assert (hour.segments, second) == (2, (0, 0))


async def test_a_look_takes_fills_and_changes_nothing(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given a line that is known, and one that is not
    taking = await _installed(link, LINE)
    await taking.take(EPOCH, [permits.Request((permits.Scope(LINE, hour=10),), 3)])
    before = {key: (await link.dump(key), await link.pttl(key)) for key in await link.keys("sl*")}

    # When both are looked at after the tokens have returned
    await clock.advance(2 * oracle.HOUR_MS)
    assert [*await taking.look(EPOCH, [LINE, OTHER])] == [LINE]

    # Then Redis holds what it held
    after = {key: (await link.dump(key), await link.pttl(key)) for key in await link.keys("sl*")}
    assert {key: one for key, (one, _) in after.items()} == {
        key: one for key, (one, _) in before.items()
    }
    assert all(after[key][1] <= before[key][1] for key in before)


async def test_who_asks_a_limiter_that_is_away_or_of_another_epoch_learns_nothing(
    link: redis.asyncio.Redis,
) -> None:
    taking = await _installed(link, LINE)
    assert await usage.live(taking, EPOCH + 1, [LINE]) == {}
    async with redis_link.connect("redis://127.0.0.1:9/0") as nobody:
        assert await usage.live(permits.Permits(nobody), EPOCH, [LINE]) == {}


@pytest.mark.parametrize("seed", range(3))
async def test_the_records_say_what_a_limiter_says_that_was_filled_from_them(
    link: redis.asyncio.Redis, owner: asyncpg.Connection, seed: int
) -> None:
    # Given a month of use, some of it proved to have come to nothing
    chance = random.Random(seed)
    now = int(time.time()) // 60
    used = {
        (scope, now - int(chance.expovariate(1 / age))): chance.randrange(5)
        for scope in (LINE, OTHER)
        for age in (20, 700, 20_000)
        for _ in range(40)
    }
    await limits.charge(owner, WORKER, used)

    # When the limiter is filled from it
    taking = await _installed(link)
    pairs = await limits.usage(owner, [LINE, OTHER])
    await taking.fill(
        EPOCH,
        {scope: [(minute * 60_000, n) for minute, n in rows] for scope, rows in pairs.items()},
    )

    # Then both tell the same of each window
    live = await usage.live(taking, EPOCH, [LINE, OTHER])
    recorded = await usage.recorded(owner, [LINE, OTHER])
    for scope in (LINE, OTHER):
        assert [tuple(one) for one in live[scope].windows] == [*recorded[scope].windows]
        assert (live[scope].is_live, recorded[scope].is_live) == (True, False)
        assert live[scope].windows[2].segments > 0
