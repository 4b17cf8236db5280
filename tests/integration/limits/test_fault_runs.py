"""The short form of `./test limits`: law 6 under faults (A16, A17), and a judge that can say no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.limits import permits
from shared.runtime import redis_link
from tests.limits import controls, stage, tally
from tests.limits.__main__ import caught_in
from tests.limits.redis_server import RedisServer
from tests.limits.run import FaultRun
from tests.servers import as_services

RUN_COUNT = 15
CONTROL_RUN_COUNT_MAX = 120


@pytest.fixture
async def where(database_url: str, tmp_path: Path) -> AsyncIterator[stage.Stage]:
    async with stage.opened(database_url, as_services(database_url), tmp_path) as found:
        yield found


async def test_a16_a17_no_limit_is_exceeded_whatever_happens_and_all_of_it_can_be_used(
    where: stage.Stage,
) -> None:
    # Given workers that want more than their lines may send
    found = tally.RunTally()
    with controls.played(where.clock):
        # When Redis is wiped, put back and confused, workers stand still and die
        for seed in range(RUN_COUNT):
            found.add(await FaultRun(where, seed).play())
    # Then nothing left beyond a limit or uncharged, and what limits let through is not lost
    assert found.bad == []
    assert found.full_count > RUN_COUNT
    assert min(found.used_shares) >= tally.USED_SHARE_MIN


@pytest.mark.parametrize(
    "name",
    [
        "a bucket that is refilled all the time",
        "no epoch at the fence",
        "permits of any age",
        "read, then written",
    ],
)
async def test_the_judge_sees_that_a_guard_is_missing(where: stage.Stage, name: str) -> None:
    (control,) = [each for each in controls.all_controls() if each.name == name]
    assert await caught_in(where, control, range(CONTROL_RUN_COUNT_MAX)) is not None


async def test_a_redis_out_of_a_snapshot_gives_no_permit(tmp_path: Path) -> None:
    # Given a snapshot from before a permit was given
    server = RedisServer(tmp_path)
    server.start()
    try:
        async with redis_link.connect(server.url) as link:
            limiter, scope = permits.Permits(link), permits.Scope("line:1", hour=1)
            await limiter.install_epoch(7)
            await limiter.fill(7, {scope.name: []})
            server.keep_snapshot()
            (taken,) = await limiter.take(7, [permits.Request((scope,), 1)])
            assert taken.answer is permits.Answer.GRANTED
        # When Redis starts again from it, under the same epoch
        server.roll_back()
        # Then what it holds counts for nothing
        async with redis_link.connect(server.url) as link:
            with pytest.raises(permits.EpochLost) as lost:
                await permits.Permits(link).take(7, [permits.Request((scope,), 1)])
        assert (lost.value.held, lost.value.stored) == (None, 7)
    finally:
        server.kill()
