"""Group commit: one round trip for all who wait, none waits alone, nobody's error is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.runtime import batching
from tests.unit.runtime.turns import some_turns


class Stage:
    """A stage whose flushes end when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)

    async def flush(self, items: Sequence[int]) -> list[int | BaseException]:
        self.batches.append(list(items))
        await self.gate.acquire()
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


async def test_an_item_alone_goes_at_once() -> None:
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=10)
    stage.gate.release()
    assert await batcher.add(21) == 42
    assert stage.batches == [[21]]


async def test_items_gather_while_a_flush_is_under_way() -> None:
    # given a flush under way
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=3)
    first = batcher.add(1)
    await some_turns()
    # when more come
    rest = [batcher.add(number) for number in range(2, 7)]
    for _ in range(3):
        stage.gate.release()
    # then they go together, at most three at a time, in order
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10, 12]
    assert stage.batches == [[1], [2, 3, 4], [5, 6]]


async def test_items_of_one_turn_go_together() -> None:
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=10)
    waiting = [batcher.add(number) for number in range(4)]
    stage.gate.release()
    await asyncio.gather(*waiting)
    assert stage.batches == [[0, 1, 2, 3]]


async def test_one_items_error_is_raised_to_it_alone() -> None:
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=10)
    good, bad = batcher.add(1), batcher.add(-1)
    stage.gate.release()
    assert await good == 2
    with pytest.raises(ValueError, match="-1"):
        await bad


async def test_a_failed_flush_is_raised_to_all_and_the_next_works() -> None:
    calls = 0

    async def flush(items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError
        return list(items)

    batcher = batching.Batcher[int, int](flush, size=10)
    both = await asyncio.gather(batcher.add(1), batcher.add(2), return_exceptions=True)
    assert [type(error) for error in both] == [ConnectionError, ConnectionError]
    assert await batcher.add(3) == 3


async def test_a_caller_who_left_does_not_disturb_the_others() -> None:
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=10)
    left, stayed = batcher.add(1), batcher.add(2)
    await some_turns()
    left.cancel()
    stage.gate.release()
    assert await stayed == 4


async def test_too_many_waiting_are_refused_at_once() -> None:
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=1, waiting=2)
    running = batcher.add(0)
    await some_turns()
    waiting = [batcher.add(1), batcher.add(2)]
    with pytest.raises(batching.Overloaded):
        batcher.add(3)
    for _ in range(3):
        stage.gate.release()
    await asyncio.gather(running, *waiting)


async def test_drain_waits_for_all_flushes_up_to_the_concurrency() -> None:
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=1, concurrency=2)
    waiting = [batcher.add(number) for number in range(5)]
    await some_turns()
    assert len(stage.batches) == 2
    drained = asyncio.create_task(batcher.drain())
    for _ in range(5):
        assert not drained.done()
        stage.gate.release()
        await some_turns()
    await drained
    assert all(each.done() for each in waiting)


async def test_beside_a_flush_only_so_many_begin_another() -> None:
    # given a flush under way
    stage = Stage()
    batcher = batching.Batcher[int, int](stage.flush, size=3, concurrency=2, beside_count=3)
    waiting = [batcher.add(0)]
    await some_turns()
    # when too few wait, then they gather
    waiting += [batcher.add(1), batcher.add(2)]
    await some_turns()
    assert stage.batches == [[0]]
    # and enough of them go beside it, no further ones
    waiting += [batcher.add(number) for number in range(3, 8)]
    await some_turns()
    assert stage.batches == [[0], [1, 2, 3]]
    for _ in range(4):
        stage.gate.release()
    await asyncio.gather(*waiting)
    assert stage.batches[2:] == [[4, 5, 6], [7]]


async def test_a_pace_holds_up_the_next_flush_and_nobody_who_comes_alone() -> None:
    pace_seconds = 0.2
    loop = asyncio.get_running_loop()
    begun: list[float] = []

    async def flush(items: Sequence[int]) -> list[int]:
        begun.append(loop.time())
        return list(items)

    batcher = batching.Batcher[int, int](flush, size=10, cadence=batching.Cadence(pace_seconds))
    # given one that came alone
    came_at = loop.time()
    await batcher.add(1)
    assert begun[0] - came_at < pace_seconds / 2
    # when more come at once, one by one, then they gather until the pace allows the next flush
    rest = []
    for number in range(5):
        rest.append(batcher.add(number))
        await asyncio.sleep(0)
    await asyncio.gather(*rest)
    assert len(begun) == 2
    assert begun[1] - begun[0] >= pace_seconds * 0.9
    # and who comes after a while goes at once
    await asyncio.sleep(pace_seconds * 1.5)
    came_at = loop.time()
    await batcher.add(6)
    assert begun[2] - came_at < pace_seconds / 2


async def test_a_whole_batch_waits_for_no_pace() -> None:
    # given a flush just now, and a pace that is far away
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> None:
        batches.append(list(items))

    gatherer = batching.Gatherer[int](flush, size=3, cadence=batching.Cadence(60.0))
    await gatherer.add(0)
    # when fewer come than a batch takes, then they wait
    waiting = [gatherer.add(1), gatherer.add(2)]
    await some_turns()
    assert batches == [[0]]
    # and once it is whole, it goes at once, and who is left over waits
    waiting += [gatherer.add(3), gatherer.add(4)]
    await waiting[2]
    await some_turns()
    assert batches == [[0], [1, 2, 3]]
    assert not waiting[3].done()


async def test_a_gatherer_waits_for_nobody_when_nothing_more_comes() -> None:
    loop = asyncio.get_running_loop()
    begun: list[tuple[float, int]] = []

    async def flush(items: Sequence[int]) -> None:
        begun.append((loop.time(), len(items)))

    gatherer = batching.Gatherer[int](flush, size=100, cadence=batching.Cadence(60.0, 0.05))
    # given a carrier that sends again what it has room for
    await gatherer.add(0)
    await asyncio.gather(gatherer.add(1), gatherer.add(2))
    assert [count for _, count in begun] == [1, 2]
    assert begun[1][0] - begun[0][0] < 0.045
    # when fewer come than were answered, then they wait until nothing more comes
    await gatherer.add(3)
    assert [count for _, count in begun] == [1, 2, 1]
    assert 0.045 <= begun[2][0] - begun[1][0] < 5.0


async def test_what_is_hastened_waits_for_no_pace() -> None:
    # given one that waits for the pace
    hall = Hall()
    gatherer = batching.Gatherer[int](hall.flush, size=3, cadence=batching.Cadence(60.0))
    hall.gate.release()
    await gatherer.add(0)
    waiting = gatherer.add(1)
    await some_turns()
    assert hall.batches == [[0]]
    # when it is hastened, then it goes at once
    gatherer.hasten()
    await some_turns()
    assert hall.batches == [[0], [1]]
    # and what is hastened while that is under way goes after it
    second = gatherer.add(2)
    gatherer.hasten()
    hall.gate.release()
    hall.gate.release()
    await asyncio.gather(waiting, second)
    assert hall.batches == [[0], [1], [2]]
    # and what comes after a call for nothing waits as ever
    await some_turns()
    gatherer.hasten()
    gatherer.add(3)
    await some_turns()
    assert hall.batches[3:] == []


class Pace:
    """A batcher that may wait, whose flushes take no time."""

    pace_seconds = 0.5
    quiet_seconds = 0.05

    def __init__(self, *, steady: bool = False) -> None:
        self.begun: list[tuple[float, int]] = []
        self.fails = False
        cadence = batching.Cadence(self.pace_seconds, self.quiet_seconds, steady=steady)
        self.batcher = batching.Batcher[int, int](self.flush, size=100, cadence=cadence)

    async def flush(self, items: Sequence[int]) -> list[int]:
        self.begun.append((asyncio.get_running_loop().time(), len(items)))
        if self.fails:
            raise ValueError("no")
        return list(items)

    @property
    def counts(self) -> list[int]:
        return [count for _, count in self.begun]

    @property
    def waited_seconds(self) -> float:
        """Between the last two flushes."""
        return self.begun[-1][0] - self.begun[-2][0]

    async def answered(self, count: int) -> None:
        """So many have just been."""
        await asyncio.gather(*[self.batcher.add(number) for number in range(count)])


async def test_who_waits_for_the_pace_goes_when_nothing_more_comes() -> None:
    pace = Pace()
    await pace.answered(5)
    # when fewer come than were answered, then they go together, and long before the pace
    await asyncio.gather(*[pace.batcher.add(number) for number in range(3)])
    assert pace.counts == [5, 3]
    assert pace.quiet_seconds * 0.9 <= pace.waited_seconds < pace.pace_seconds / 2


async def test_while_others_keep_coming_all_wait_for_the_pace() -> None:
    pace = Pace()
    await pace.answered(100)
    coming: list[asyncio.Future[int]] = []
    while len(pace.begun) < 2:
        coming.append(pace.batcher.add(len(coming)))
        await asyncio.sleep(pace.quiet_seconds / 5)
    assert pace.waited_seconds >= pace.pace_seconds * 0.9
    assert pace.counts[1] > 3
    await asyncio.gather(*coming)


async def test_nobody_is_waited_for_when_all_who_were_answered_have_come_again() -> None:
    pace = Pace()
    await pace.answered(3)
    # when they come again, one by one
    coming = []
    for number in range(3):
        assert pace.counts == [3]
        coming.append(pace.batcher.add(number))
        await some_turns()
    # then they go with the last of them
    await asyncio.gather(*coming)
    assert pace.counts == [3, 3]
    assert pace.waited_seconds < pace.quiet_seconds
    # and so does who comes alone, again and again
    await pace.batcher.add(0)
    await pace.batcher.add(0)
    await pace.batcher.add(0)
    assert pace.counts == [3, 3, 1, 1, 1]
    assert pace.waited_seconds < pace.quiet_seconds


async def test_those_may_have_to_be_as_many_as_the_time_before() -> None:
    pace = Pace(steady=True)
    await pace.answered(3)
    # when as many come as were answered once, then more may follow
    await pace.answered(3)
    assert pace.waited_seconds >= pace.quiet_seconds * 0.9
    # and when as many come as were answered twice, then nobody is waited for
    await pace.answered(3)
    assert pace.waited_seconds < pace.quiet_seconds
    # until they are fewer
    await pace.answered(2)
    await pace.answered(2)
    assert pace.waited_seconds >= pace.quiet_seconds * 0.9
    assert pace.counts == [3, 3, 3, 2, 2]


async def test_nobody_is_taken_to_have_come_again_after_a_flush_that_failed() -> None:
    pace = Pace()
    await pace.answered(1)
    pace.fails = True
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await pace.batcher.add(0)
    assert pace.counts == [1, 1, 1]
    assert pace.waited_seconds >= pace.quiet_seconds * 0.9


@pytest.mark.parametrize(
    ("slow_pace_seconds", "waits_seconds"), [(0.0, 0.1), (10.0, 0.2), (0.15, 0.15)]
)
async def test_flushes_take_half_of_the_time_where_they_may_wait_for_so_long(
    slow_pace_seconds: float, waits_seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    begun: list[float] = []

    async def flush(items: Sequence[int]) -> list[int]:
        begun.append(loop.time())
        await asyncio.sleep(0.1)
        return list(items)

    # given a machine on which a flush takes a tenth of a second
    batcher = batching.Batcher[int, int](
        flush, size=1_000, cadence=batching.Cadence(0.02, slow_seconds=slow_pace_seconds)
    )
    coming = [batcher.add(0)]
    # when others keep coming
    while len(begun) < 2:
        coming.append(batcher.add(len(coming)))
        await asyncio.sleep(0.005)
    # then they wait for twice as long, but no longer than they may
    assert waits_seconds * 0.9 <= begun[1] - begun[0] < waits_seconds + 0.05
    await asyncio.gather(*coming)


# What succeeds or fails as a whole


class Hall:
    """A stage that knows no single results."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)
        self.fails = False

    async def flush(self, items: Sequence[int]) -> None:
        self.batches.append(list(items))
        await self.gate.acquire()
        if self.fails:
            raise ValueError("no")


async def test_the_items_of_a_batch_share_a_future_that_ends_with_their_flush() -> None:
    # given a flush under way
    hall = Hall()
    gatherer = batching.Gatherer[int](hall.flush, size=3)
    first = gatherer.add(1)
    await some_turns()
    # when more come than one batch takes
    rest = [gatherer.add(number) for number in range(2, 7)]
    # then each batch has a future of its own
    assert len({first, *rest}) == 3
    assert (rest[0] is rest[2], rest[2] is rest[3], len(gatherer)) == (True, False, 5)
    # and it ends when that batch is flushed, not before
    hall.gate.release()
    await first
    await some_turns()
    assert [rest[0].done(), hall.batches] == [False, [[1], [2, 3, 4]]]
    hall.gate.release()
    await rest[0]
    assert not rest[3].done()
    hall.gate.release()
    await gatherer.drain()
    assert rest[3].done()
    assert hall.batches == [[1], [2, 3, 4], [5, 6]]


async def test_an_item_that_comes_during_a_flush_is_not_told_that_it_was_flushed() -> None:
    hall = Hall()
    gatherer = batching.Gatherer[int](hall.flush, size=10)
    first = gatherer.add(1)
    await some_turns()
    second = gatherer.add(2)
    hall.gate.release()
    await first
    assert not second.done()
    hall.gate.release()
    await second


async def test_a_batch_that_fails_is_no_other_s_affair() -> None:
    hall = Hall()
    gatherer = batching.Gatherer[int](hall.flush, size=2)
    waiting = [gatherer.add(number) for number in range(4)]
    hall.fails = True
    hall.gate.release()
    with pytest.raises(ValueError):
        await waiting[0]
    hall.fails = False
    hall.gate.release()
    await waiting[2]
    assert hall.batches == [[0, 1], [2, 3]]


async def test_more_than_may_wait_is_refused_by_a_gatherer() -> None:
    hall = Hall()
    gatherer = batching.Gatherer[int](hall.flush, size=2, waiting=3)
    for number in range(3):
        gatherer.add(number)
    with pytest.raises(batching.Overloaded):
        gatherer.add(4)
    hall.gate.release()
    hall.gate.release()
    await gatherer.drain()
