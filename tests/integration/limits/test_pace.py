"""A carrier's pace: the rate is kept, the burst is bounded, the wait is worth it."""

from __future__ import annotations

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.limits import pace
from shared.runtime import redis_link
from tests.integration.limits import virtual_clock

SECOND = 1_000_000  # this script counts microseconds


@pytest.mark.parametrize(("rate", "burst"), [(1, 5), (50, 5), (100, 10), (1_000, 100)])
async def test_full_bucket_grants_one_burst_and_names_the_wait(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock, rate: int, burst: int
) -> None:
    pacer = pace.Pace(link)
    granted, wait_ms = await pacer.take_up_to("fast", rate, burst + 1)
    assert granted == burst
    assert wait_ms == -(-1_000 // rate)
    assert await pacer.take_up_to("other", rate, burst) == (burst, 0)


async def test_one_more_is_granted_exactly_when_the_wait_is_over(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    pacer = pace.Pace(link)
    _, wait_ms = await pacer.take_up_to("slow", 8, 6)
    await clock.advance(wait_ms * 1_000 - 1)
    assert (await pacer.take_up_to("slow", 8, 1))[0] == 0
    await clock.advance(1)
    assert (await pacer.take_up_to("slow", 8, 1)) == (1, 0)


async def test_saturated_pace_is_the_rate_when_every_wait_is_obeyed(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    pacer, rate, total, start = pace.Pace(link), 97, 0, clock.now
    while clock.now < start + 20 * SECOND:
        granted, wait_ms = await pacer.take_up_to("steady", rate, 50)
        total += granted
        await clock.advance(wait_ms * 1_000)
    seconds = (clock.now - start) / SECOND
    assert 0.99 * rate * seconds <= total <= rate * seconds + pace.LEAST_BURST + 4


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rate=st.integers(1, 500),
    calls=st.lists(
        st.tuples(st.integers(-SECOND, 3 * SECOND), st.integers(1, 80)), min_size=1, max_size=25
    ),
)
async def test_no_stretch_of_time_gets_more_than_burst_and_rate(
    link: redis.asyncio.Redis,
    clock: virtual_clock.Clock,
    rate: int,
    calls: list[tuple[int, int]],
) -> None:
    await link.flushall()
    pacer, burst, history, passed = pace.Pace(link), max(5, rate // 10), [], 0
    await clock.set(virtual_clock.START_MS)
    for step, wanted in calls:
        await clock.advance(step)
        passed += max(0, step)  # a clock that goes back earns nothing
        granted, _ = await pacer.take_up_to("any", rate, wanted)
        history.append((passed, granted))
    for first, (since, _) in enumerate(history):
        for last in range(first, len(history)):
            total = sum(granted for _, granted in history[first : last + 1])
            assert total * SECOND <= burst * SECOND + rate * (history[last][0] - since)


async def test_nothing_is_granted_when_redis_is_not_there() -> None:
    async with redis_link.connect("redis://127.0.0.1:1/0") as nobody:
        with pytest.raises(redis_link.LimiterUnavailable):
            await pace.Pace(nobody).take_up_to("any", 10, 1)
