"""The door: sixty requests in any minute, with Redis and without."""

from __future__ import annotations

import redis.asyncio
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.limits import door
from shared.runtime import redis_link
from tests.integration.limits import virtual_clock

NOBODY = "redis://127.0.0.1:1/0"
MINUTE_MS = 60_000
LOT_MS = int(door.LOT_SECONDS * 1_000)


class Hand:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


async def test_batch_is_decided_in_order_for_each_account(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    await clock.set(clock.now - clock.now % 1_000)
    entrance = door.Door(link)
    admissions = await entrance.admit([(1, 2), (2, 1), (1, 2), (1, 2), (2, 1)])
    assert admissions == [
        (True, 1, 0),
        (True, 0, 0),
        (True, 0, 0),
        (False, 0, 61),
        (False, 0, 61),
    ]


async def test_nothing_happens_when_nobody_asks(link: redis.asyncio.Redis) -> None:
    assert await door.Door(link).admit([]) == []


async def test_next_request_passes_when_the_named_seconds_are_over(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    entrance = door.Door(link)
    await entrance.admit([(1, 1)])
    [refused] = await entrance.admit([(1, 1)])
    await clock.advance((refused.retry_after_seconds - 1) * 1_000)
    assert not (await entrance.admit([(1, 1)]))[0].allowed
    await clock.advance(1_000)
    assert (await entrance.admit([(1, 1)]))[0].allowed


visits = st.lists(
    st.tuples(st.integers(0, 2_000) | st.integers(0, 40_000), st.integers(1, 15)),
    min_size=5,
    max_size=30,
)


def _most_in_a_minute(admitted_ms: list[int]) -> int:
    return max(
        (sum(first <= at < first + MINUTE_MS for at in admitted_ms) for first in admitted_ms),
        default=0,
    )


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(visits=visits, limit=st.integers(1, 20), with_redis=st.booleans())
async def test_no_rolling_minute_admits_more_and_no_refusal_is_needless(
    link: redis.asyncio.Redis,
    clock: virtual_clock.Clock,
    visits: list[tuple[int, int]],
    limit: int,
    with_redis: bool,
) -> None:
    await link.flushall()
    await clock.set(virtual_clock.START_MS)
    admitted_ms: list[int] = []
    async with redis_link.connect(NOBODY) as nobody:
        entrance = door.Door(link if with_redis else nobody, clock_seconds=lambda: clock.now / 1e3)
        for step_ms, count in visits:
            await clock.advance(step_ms)
            for admission in await entrance.admit([(1, limit)] * count):
                slots_ms = [at - at % 1_000 for at in admitted_ms]
                recent = sum(clock.now < at + 1_000 + MINUTE_MS for at in slots_ms)
                assert admission.allowed == (recent < limit)
                if admission.allowed:
                    assert admission.remaining == limit - recent - 1
                    admitted_ms.append(clock.now)
    assert _most_in_a_minute(admitted_ms) <= limit


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    visits=st.lists(
        st.tuples(st.integers(0, 150) | st.integers(0, 20_000), st.integers(1, 400)),
        min_size=5,
        max_size=25,
    ),
    limit=st.integers(1_000, 1_400),
)
async def test_no_rolling_minute_admits_more_and_no_refusal_is_needless_when_tokens_come_in_lots(
    link: redis.asyncio.Redis,
    clock: virtual_clock.Clock,
    visits: list[tuple[int, int]],
    limit: int,
) -> None:
    await link.flushall()
    await clock.set(virtual_clock.START_MS)
    admitted_ms: list[int] = []
    entrance = door.Door(link, clock_seconds=lambda: clock.now / 1e3)
    for step_ms, count in visits:
        await clock.advance(step_ms)
        for _ in range(count):
            if not entrance.admit_at_once(1):
                [admission] = await entrance.admit([(1, limit)])
                if not admission.allowed:
                    # A lot is booked in the second in which it ends.
                    back_ms = 1_000 + LOT_MS + MINUTE_MS
                    recent = sum(clock.now < at + back_ms for at in admitted_ms)
                    assert recent >= limit
                    break
            admitted_ms.append(clock.now)
    assert _most_in_a_minute(admitted_ms) <= limit


async def test_requests_pass_without_redis_while_the_lot_lasts(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    await clock.set(clock.now - clock.now % 1_000)
    entrance = door.Door(link, clock_seconds=lambda: clock.now / 1e3)
    assert not entrance.admit_at_once(1)
    assert await entrance.admit([(1, 2_001)]) == [(True, 2_000, 0)]
    assert [entrance.admit_at_once(1) for _ in range(101)] == [True] * 100 + [False]
    assert await entrance.admit([(1, 2_001)]) == [(True, 1_900 - 1, 0)]
    await clock.advance(LOT_MS)
    assert not entrance.admit_at_once(1)


async def test_a_lot_comes_back_a_minute_after_its_last_use_when_it_outlasts_its_second(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    await clock.set(clock.now - clock.now % 1_000 + 950)
    entrance = door.Door(link, clock_seconds=lambda: clock.now / 1e3)
    await entrance.admit([(1, 2_001)])
    await clock.advance(LOT_MS - 1)
    assert all(entrance.admit_at_once(1) for _ in range(100))
    assert all(each.allowed for each in await entrance.admit([(1, 2_001)] * 1_900))
    await clock.advance(MINUTE_MS - 49)
    assert [each.allowed for each in await entrance.admit([(1, 2_001)] * 2)] == [True, False]


async def test_what_is_left_of_a_lot_is_given_back_with_the_next_request(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    await clock.set(clock.now - clock.now % 1_000)
    entrance = door.Door(link, clock_seconds=lambda: clock.now / 1e3)
    await entrance.admit([(1, 2_001)])
    assert entrance.admit_at_once(1)
    await clock.advance(LOT_MS)
    assert await entrance.admit([(1, 2_001)]) == [(True, 2_001 - 3, 0)]


async def test_door_counts_alone_and_says_so_once_a_minute_when_redis_is_gone() -> None:
    hand = Hand()
    async with redis_link.connect(NOBODY) as nobody:
        entrance = door.Door(nobody, clock_seconds=hand)
        with structlog.testing.capture_logs() as logs:
            for _ in range(4):
                assert (await entrance.admit([(1, 60)]))[0].allowed
                hand.seconds += door.REDIS_PAUSE_SECONDS
            assert [entry["event"] for entry in logs] == ["door_counts_alone"]
            hand.seconds += door.LOG_EVERY_SECONDS
            await entrance.admit([(1, 60)])
            assert len(logs) == 2


async def test_door_asks_redis_again_when_it_is_back(redis_url: str) -> None:
    hand = Hand()
    async with redis_link.connect(redis_url) as link:
        await link.flushall()
        entrance = door.Door(link, clock_seconds=hand)
        await link.config_set("maxmemory", 1)
        assert (await entrance.admit([(1, 1)]))[0].allowed
        assert not (await entrance.admit([(1, 1)]))[0].allowed
        await link.config_set("maxmemory", 0)
        hand.seconds += door.REDIS_PAUSE_SECONDS
        assert (await entrance.admit([(1, 1)]))[0].allowed
        assert await link.exists("sluice:door:1") == 1
