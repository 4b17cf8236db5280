"""What is done together on the way into a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.runtime import batching
from tests.unit.runtime.turns import some_turns


class Passage:
    """Callers who pass a turnstile, and are flushed together beyond it."""

    patience_seconds = 0.3

    def __init__(self, *, waiting: int = 100) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)
        self.fails = False
        self.batcher = batching.Batcher[int, None](self.flush, size=100)
        self.turnstile = batching.Turnstile(
            self.batcher,
            size=100,
            waiting=waiting,
            cadence=batching.Cadence(0.0, 0.02),
            patience_seconds=self.patience_seconds,
        )
        self.through: list[int] = []

    async def flush(self, items: Sequence[int]) -> list[None]:
        self.batches.append(list(items))
        await self.gate.acquire()
        if self.fails:
            raise ValueError("no")
        return [None for _ in items]

    async def go(self, number: int) -> None:
        """Pass, and be flushed."""
        await self.turnstile.enter()
        self.through.append(number)
        await self.batcher.add(number)

    def come(self, *numbers: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.go(number)) for number in numbers]


async def test_who_comes_together_passes_together_into_one_flush() -> None:
    passage = Passage()
    coming = passage.come(1, 2, 3)
    await some_turns()
    assert passage.through == [1, 2, 3]
    assert passage.batches == [[1, 2, 3]]
    # when others come while that is under way, then they pass when it has ended, together
    coming += passage.come(4)
    await some_turns()
    coming += passage.come(5)
    await some_turns()
    assert passage.through == [1, 2, 3]
    passage.gate.release()
    await some_turns()
    assert passage.batches == [[1, 2, 3], [4, 5]]
    passage.gate.release()
    await asyncio.gather(*coming)
    # and who comes alone waits for nobody
    (last,) = passage.come(6)
    await some_turns()
    assert passage.batches[2:] == [[6]]
    passage.gate.release()
    await last


async def test_a_flush_that_takes_long_keeps_nobody_from_passing() -> None:
    # given a flush that does not end
    passage = Passage()
    first = passage.come(1)
    await some_turns()
    # when others come, then they pass after a while, and wait for their own flush
    rest = passage.come(2, 3)
    await asyncio.sleep(passage.patience_seconds / 2)
    assert passage.through == [1]
    await asyncio.sleep(passage.patience_seconds)
    assert passage.through == [1, 2, 3]
    assert passage.batches == [[1]]
    passage.gate.release()
    passage.gate.release()
    await asyncio.gather(*first, *rest)
    assert passage.batches == [[1], [2, 3]]


async def test_who_leaves_a_turnstile_takes_nobody_along() -> None:
    passage = Passage()
    first = passage.come(1)
    await some_turns()
    leaver, *others = passage.come(2, 3)
    await some_turns()
    leaver.cancel()
    passage.gate.release()
    passage.gate.release()
    await asyncio.gather(*first, *others)
    assert passage.through == [1, 3]
    await passage.turnstile.drain()


async def test_too_many_before_a_turnstile_are_sent_away() -> None:
    passage = Passage(waiting=1)
    first = passage.come(1)
    await some_turns()
    second = passage.come(2)
    await some_turns()
    with pytest.raises(batching.Overloaded):
        passage.turnstile.enter()
    passage.gate.release()
    passage.gate.release()
    await asyncio.gather(*first, *second)


async def test_what_is_under_way_is_known_to_be_good_when_it_has_ended() -> None:
    passage = Passage()
    assert await passage.batcher.flushed(0.01)
    (first,) = passage.come(1)
    await some_turns()
    assert not await passage.batcher.flushed(0.01)
    passage.fails = True
    passage.gate.release()
    assert not await passage.batcher.flushed(1.0)
    with pytest.raises(ValueError, match="no"):
        await first
