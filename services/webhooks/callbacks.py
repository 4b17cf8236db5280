"""One account's lines in API mode: what happens on them, told to each line's URL once.

There is one try: an answer that is not 2xx, or none within the deadline, ends it as well. The log
is read once for all lines of an account; what is to be told then waits apart for each line, so that
one whose server is slow holds up no other. How far the log has been told is written down as it is
done: of what a process that dies had begun, some may be told again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import structlog

from services.webhooks import aircall, metrics
from services.webhooks.means import Means
from shared.access import vault
from shared.db import events, line_callbacks, sealed_texts
from shared.db.line_callbacks import LeasedLog
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.line_kinds import LineMode
from shared.web import egress

_log = structlog.get_logger()

DEADLINE_SECONDS = 5.0
READ_COUNT = 500
"""Events of the log that are looked through at a time."""
OPEN_COUNT_MAX = 5_000
"""Callbacks of an account that may wait or be under way before its log is read on."""
LOOK_SECONDS = 0.25
AT_ONCE_COUNT = 8
"""Requests to one line's URL at a time."""
WAITING_COUNT_MAX = 1_000
"""Callbacks that may wait for one line's URL before the log is read on."""
SLOW_SECONDS = 1.0
SILENT_COUNT = 5
"""Tries in a row that failed and took so long, after which a URL is silent: it is told one at a
time."""
SILENT_WAITING_COUNT_MAX = 8
"""Callbacks that may wait for a silent URL; further ones are not told."""


class PendingCallback(NamedTuple):
    """One request to be made."""

    sequence: int
    line_id: int
    url: str
    body: bytes
    hands_over: UUID | None

    def __repr__(self) -> str:
        return f"PendingCallback({self.sequence})"


@dataclass
class LineQueue:
    """What waits for one line's URL, and how that fares."""

    waiting: deque[PendingCallback] = field(default_factory=deque)
    under_way: int = 0
    slow_failures: int = 0

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been heard of it for long."""
        return self.slow_failures >= SILENT_COUNT

    @property
    def room(self) -> int:
        """How many more may wait."""
        count_max = SILENT_WAITING_COUNT_MAX if self.is_silent else WAITING_COUNT_MAX
        return count_max - len(self.waiting)

    @property
    def may_begin(self) -> bool:
        """Whether the first that waits may be told now."""
        return bool(self.waiting) and self.under_way < (1 if self.is_silent else AT_ONCE_COUNT)


async def run(means: Means, leased: LeasedLog) -> None:
    """Tell until there is nothing more, or the lease is another's. Raises what an unreachable
    database raises; the lease runs out."""
    telling = _Telling(means, leased)
    try:
        while not means.stops():
            more = await telling.read()
            telling.begin()
            if not await telling.record(is_over=False) or not (more or telling.open):
                break
            await telling.pause()
    finally:
        await telling.settle()
    await telling.record(is_over=True)


class _Telling:
    """How far one account's log has been read and told."""

    def __init__(self, means: Means, leased: LeasedLog) -> None:
        self._means = means
        self._leased = leased
        self._read_until = leased.read_until
        self._queues: dict[int, LineQueue] = {}
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops = False
        self._handed_over: list[UUID] = []
        self.open: set[int] = set()

    async def read(self) -> bool:
        """Read on, as far as there is room, and put to each line what is for it; whether there was
        anything."""
        if len(self.open) >= OPEN_COUNT_MAX or any(map(_is_full, self._queues.values())):
            return False
        database, configured = self._means.database, self._means.configured
        account_id = self._leased.account_id
        async with database.acquire(timeout=ACQUIRE_SECONDS) as connection:
            found = await events.numbered_after(
                connection, account_id, self._read_until, READ_COUNT
            )
        if not found:
            return False
        # A line that was configured before something happened on it is known then.
        await configured.refresh()
        current = configured.current
        async with database.acquire(timeout=ACQUIRE_SECONDS) as connection:
            told = await aircall.read(
                connection, self._means.seals, current, account_id, found, LineMode.API
            )
            places = await line_callbacks.of_account(connection, account_id) if told else {}
        for each in told:
            if (place := places.get(each.line.line_id)) is None:
                continue
            if _is_full(self._queues.setdefault(place.line_id, LineQueue())):
                self._read_until = each.event.sequence - 1
                return True
            self._put(each, place)
        self._read_until = found[-1].sequence
        return True

    def _put(self, told: aircall.LineEvent, place: line_callbacks.LineCallback) -> None:
        queue = self._queues[place.line_id]
        if queue.room <= 0:
            metrics.CALLBACKS.labels("not_made").inc()
            return
        try:
            token = self._means.vault.open(place.sealed_token)
        except vault.NotReadable:
            _log.error("callback_token_not_readable", line_id=place.line_id)
            return
        body = aircall.callback(told, token)
        sequence = told.event.sequence
        queue.waiting.append(
            PendingCallback(sequence, place.line_id, place.url or "", body, told.hands_over)
        )
        self.open.add(sequence)

    def begin(self) -> None:
        """Begin what may be told now."""
        for queue in self._queues.values():
            while queue.may_begin and not (self._stops or self._means.stops()):
                queue.under_way += 1
                task = asyncio.create_task(self._tell(queue, queue.waiting.popleft()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Begin nothing more; return when what is under way has ended."""
        self._stops = True
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _tell(self, queue: LineQueue, told: PendingCallback) -> None:
        is_silent = False
        try:
            async with self._means.requests:
                is_silent = await _ask(self._means.client, told)
        finally:
            queue.slow_failures = queue.slow_failures + 1 if is_silent else 0
            queue.under_way -= 1
            self._end(told)
        while queue.is_silent and queue.room < 0:
            metrics.CALLBACKS.labels("not_made").inc()
            self._end(queue.waiting.pop())
        self.begin()

    def _end(self, told: PendingCallback) -> None:
        self.open.discard(told.sequence)
        if told.hands_over is not None:
            self._handed_over.append(told.hands_over)
        self._ended.set()

    async def pause(self) -> None:
        """Wait until something has ended, or for LOOK_SECONDS."""
        self._ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._ended.wait()

    async def record(self, *, is_over: bool) -> bool:
        """Write down how far all is told; whether the lease is still ours."""
        told_until = min(self.open) - 1 if self.open else self._read_until
        if told_until == self._leased.read_until and not (is_over or self._handed_over):
            return True
        handed_over, self._handed_over = self._handed_over, []
        async with (
            self._means.database.acquire(timeout=ACQUIRE_SECONDS) as connection,
            connection.transaction(),
        ):
            # What was told is not told again, so its text is needed no more (A11).
            await sealed_texts.erase(connection, handed_over)
            kept = await line_callbacks.record(
                connection, self._leased, told_until, is_over=is_over
            )
        self._leased = self._leased._replace(read_until=told_until)
        return kept


def _is_full(queue: LineQueue) -> bool:
    """Whether the log has to wait for it; it does for none that is silent."""
    return not queue.is_silent and queue.room <= 0


async def _ask(client: egress.GuardedClient, told: PendingCallback) -> bool:
    """Ask once; whether that took long and came to nothing."""
    began_at = time.monotonic()
    headers = {"Content-Type": "application/json", "User-Agent": "sluice"}
    try:
        status, _ = await client.post(told.url, headers, told.body)
        outcome = f"{status // 100}xx"
    except egress.NotAllowed:
        outcome = "not_allowed"
    except egress.NoStatus as error:
        outcome = error.why
    seconds = time.monotonic() - began_at
    metrics.CALLBACKS.labels(outcome).inc()
    metrics.CALLBACK_SECONDS.observe(seconds)
    return outcome != "2xx" and seconds >= SLOW_SECONDS
