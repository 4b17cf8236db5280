"""Group commit: many waiting callers, one round trip for all; alone, nobody waits for company."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, NamedTuple, TypeVar

_REST = 2
"""A flush may take one part in so many of the time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """More is waiting than the batcher may hold."""


class Cadence(NamedTuple):
    """How long a flush waits for company: it begins `seconds` after the one before began, or as
    soon as a whole batch waits. Who comes alone waits for nobody.

    Where `quiet_seconds` are given the pace is for who comes of his own accord: a flush begins as
    soon as nothing has come for so long, or as many have come as were answered last, as from
    producers, or carriers of a narrow window, who send again when they are answered. If `steady`,
    these must have been as many the time before: of what comes at a pace of its own, batches would
    else stay as small as one of them once was. Up to `slow_seconds` pass from one to the next where
    flushes would else take more than half of the time, as on a slow machine.
    """

    seconds: float = 0.0
    quiet_seconds: float | None = None
    slow_seconds: float = 0.0
    steady: bool = False


_AT_ONCE = Cadence()


class _Flushes(ABC):
    """When flushes begin; what waits for them, and who is told, is its heirs' affair.

    At most `concurrency` flushes run at once and at most `waiting` items wait (then Overloaded).
    Two ways of making batches larger, neither of which holds up who comes alone: their cadence; and
    a flush begins beside another only when `beside_count` items wait for it.
    """

    def __init__(
        self,
        size: int,
        concurrency: int,
        waiting: int,
        cadence: Cadence,
        beside_count: int,
    ) -> None:
        self._size = size
        self._concurrency = concurrency
        self._waiting_limit = waiting
        self._cadence = cadence
        self._beside_count = beside_count
        self._running: set[asyncio.Task[bool]] = set()
        self._scheduled: asyncio.Handle | None = None
        """The next beginning, or look whether it is time."""
        self._seen_count = 0
        self._began_at = 0.0
        self._next_at = 0.0
        self._answered_count = 0
        self._returning_count: int | None = None
        """How many of those who were answered last have not come again; None: a flush is under way,
        or has failed, or they are not expected."""

    @abstractmethod
    def __len__(self) -> int:
        """How many items wait."""

    @abstractmethod
    def _take(self) -> Coroutine[None, None, bool]:
        """Take a batch out of what waits; the step that flushes it, and tells whether that was
        good."""

    def _may_begin(self) -> bool:
        running_count = len(self._running)
        return not running_count or (
            running_count < self._concurrency and len(self) >= self._beside_count
        )

    def _came(self) -> None:
        """One more waits."""
        is_enough = len(self) == self._size
        if self._returning_count:
            self._returning_count -= 1
            is_enough |= not self._returning_count
        if self._scheduled is not None and is_enough:
            self._scheduled.cancel()
            self._schedule()
        elif self._scheduled is None and self._may_begin():
            self._schedule()

    def _answered(self, count: int) -> None:
        """A flush was good, and so many were told."""
        is_likely = not self._cadence.steady or count == self._answered_count
        if self._cadence.quiet_seconds is not None and is_likely:
            self._returning_count = count
        self._answered_count = count

    def _schedule(self) -> None:
        """Begin at the end of this turn of the loop, so that what arrives in it goes together; or
        when the pace allows it, or nothing more comes."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_time = now >= self._next_at or len(self) >= self._size
        if is_time or self._returning_count == 0:
            self._scheduled = loop.call_soon(self._begin)
        elif self._cadence.quiet_seconds is None:
            self._scheduled = loop.call_at(self._next_at, self._begin)
        else:
            self._seen_count = len(self)
            look_at = min(self._next_at, now + self._cadence.quiet_seconds)
            self._scheduled = loop.call_at(look_at, self._look)

    def _look(self) -> None:
        if len(self) == self._seen_count:
            self._begin()
        else:
            self._schedule()

    def _begin(self) -> None:
        self._scheduled = None
        loop = asyncio.get_running_loop()
        while len(self) and self._may_begin():
            self._began_at = loop.time()
            self._next_at = self._began_at + self._cadence.seconds
            self._returning_count = None
            task = loop.create_task(self._take())
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._running.discard(task)
        if self._cadence.slow_seconds:
            took_seconds = asyncio.get_running_loop().time() - self._began_at
            rested_seconds = min(_REST * took_seconds, self._cadence.slow_seconds)
            self._next_at = max(self._next_at, self._began_at + rested_seconds)
        if len(self) and self._scheduled is None and self._may_begin():
            self._schedule()

    def hasten(self) -> None:
        """Have what waits flushed as soon as a flush may begin: somebody waits for it."""
        if not len(self):
            return
        self._next_at = 0.0
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._schedule()

    async def flushed(self, timeout_seconds: float) -> bool:
        """Return when what is under way has ended: whether it is known to be good, and did so in
        time."""
        if not self._running:
            return True
        ended, running = await asyncio.wait(set(self._running), timeout=timeout_seconds)
        return not running and all(not each.cancelled() and each.result() for each in ended)

    async def drain(self) -> None:
        """Return when nothing waits and nothing runs."""
        while len(self) or self._running:
            if self._running:
                await asyncio.wait(set(self._running))
            else:
                await asyncio.sleep(self._cadence.seconds)


class Batcher(_Flushes, Generic[Item, Result]):
    """Gathers items while a flush is under way, then flushes them together.

    `flush` gets 1..`size` items in the order they came and returns one result for each; a result
    that is an exception is raised to its caller alone; an exception out of `flush` is raised to
    all.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        size: int,
        concurrency: int = 1,
        waiting: int = 100_000,
        cadence: Cadence = _AT_ONCE,
        beside_count: int = 1,
    ) -> None:
        super().__init__(size, concurrency, waiting, cadence, beside_count)
        self._flush = flush
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> asyncio.Future[Result]:
        """Queue the item; the future ends with its result. Raises Overloaded when full."""
        if len(self._waiting) >= self._waiting_limit:
            raise Overloaded
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._came()
        return future

    def _take(self) -> Coroutine[None, None, bool]:
        count = min(self._size, len(self._waiting))
        return self._run([self._waiting.popleft() for _ in range(count)])

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> bool:
        try:
            results = await self._flush([item for item, _ in batch])
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return False
        self._answered(len(batch))
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        return True


class Gatherer(_Flushes, Generic[Item]):
    """A batcher whose batches succeed or fail as a whole: all items of a batch share one future, so
    that a caller of many needs one callback for them. Nobody may cancel it."""

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        size: int,
        concurrency: int = 1,
        waiting: int = 100_000,
        cadence: Cadence = _AT_ONCE,
        beside_count: int = 1,
    ) -> None:
        super().__init__(size, concurrency, waiting, cadence, beside_count)
        self._flush = flush
        self._batches: deque[tuple[list[Item], asyncio.Future[None]]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: Item) -> asyncio.Future[None]:
        """Queue the item; the future ends with its batch. Raises Overloaded when full."""
        if self._count >= self._waiting_limit:
            raise Overloaded
        if not self._batches or len(self._batches[-1][0]) >= self._size:
            self._batches.append(([], asyncio.get_running_loop().create_future()))
        items, future = self._batches[-1]
        items.append(item)
        self._count += 1
        self._came()
        return future

    def _take(self) -> Coroutine[None, None, bool]:
        items, future = self._batches.popleft()
        self._count -= len(items)
        return self._run(items, future)

    async def _run(self, items: list[Item], future: asyncio.Future[None]) -> bool:
        try:
            await self._flush(items)
        except BaseException as error:
            future.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return False
        self._answered(len(items))
        future.set_result(None)
        return True


class Turnstile(_Flushes):
    """Lets callers through in groups, so that what they do next is done for one right after the
    other, which costs half as much, and ends up in one flush of the batcher `beyond`.

    While that flushes, up to `patience_seconds`, those who come gather. All who wait are let
    through; a group of `size` waits for no cadence.
    """

    def __init__(
        self,
        beyond: _Flushes,
        *,
        size: int,
        cadence: Cadence,
        patience_seconds: float,
        waiting: int = 100_000,
    ) -> None:
        super().__init__(size, 1, waiting, cadence, 1)
        self._beyond = beyond
        self._patience_seconds = patience_seconds
        self._waiting: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self) -> asyncio.Future[None]:
        """Wait to be let through. Raises Overloaded when full."""
        if len(self._waiting) >= self._waiting_limit:
            raise Overloaded
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._came()
        return future

    def _take(self) -> Coroutine[None, None, bool]:
        group, self._waiting = self._waiting, []
        return self._run(group)

    async def _run(self, group: Sequence[asyncio.Future[None]]) -> bool:
        for future in group:
            if not future.done():
                future.set_result(None)
        # One turn of the loop, in which they go on; and one in which the batcher begins.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        is_good = await self._beyond.flushed(self._patience_seconds)
        if is_good:
            self._answered(len(group))
        return is_good
