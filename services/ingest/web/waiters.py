"""Requests that wait for something new: one look at the database for all, none holds a connection.

A waiting request costs its connection and a timer. It ends with what it waits for, when its time is
over, when its client goes away, or when the process is to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple

import asyncpg

from services.ingest import metrics
from shared.db import connection, events, heads
from shared.db.pool import ACQUIRE_SECONDS
from shared.web import problems
from shared.web.problems import Refused

LOOK_SECONDS = 0.1
"""How often it is looked for something new, while anybody waits."""
AWAY_SECONDS = 1.0
"""How long it is not looked after the database has not answered."""
COUNT_MAX = 1_000
"""Requests that may wait in one process."""
ACCOUNT_COUNT_MAX = 10
"""Of these, how many of one account."""

Log = Literal["events", "inbound"]


class _Waiter(NamedTuple):
    account_id: int
    log: Log
    number: int
    is_gone: Callable[[], bool]
    head: asyncio.Future[int | None]


class Waiters:
    """Who waits in this process, and for what."""

    def __init__(self, database: asyncpg.Pool) -> None:
        self._database = database
        self._stops = False
        self._count = 0
        self._of_account: dict[int, dict[int, _Waiter]] = {}

    async def beyond(
        self, account_id: int, log: Log, number: int, seconds: float, is_gone: Callable[[], bool]
    ) -> int | None:
        """Wait until the account's log goes on after `number`: its last number then. None once
        `seconds` are over, the client is gone, or the process is to end. Raises Refused with 429
        where ACCOUNT_COUNT_MAX requests of the account wait already, and with 503 where COUNT_MAX
        do."""
        if seconds <= 0 or self._stops:
            return None
        own = self._of_account.setdefault(account_id, {})
        if len(own) >= ACCOUNT_COUNT_MAX:
            detail = f"{ACCOUNT_COUNT_MAX} requests of the account wait already."
            raise Refused(problems.of(429, "too_many_waiting", detail, "wait"), _LATER)
        if self._count >= COUNT_MAX:
            self._forget_empty(account_id)
            raise problems.unavailable()
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        own[id(future)] = _Waiter(account_id, log, number, is_gone, future)
        self._note(1)
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            del own[id(future)]
            self._forget_empty(account_id)
            self._note(-1)

    def _forget_empty(self, account_id: int) -> None:
        if not self._of_account.get(account_id, True):
            del self._of_account[account_id]

    def _note(self, more: int) -> None:
        self._count += more
        metrics.WAITING.set(self._count)

    def _all(self) -> list[_Waiter]:
        return [waiter for own in self._of_account.values() for waiter in own.values()]

    async def look(self) -> None:
        """End the waiting of those for whom there is something, and of those who have gone."""
        for waiter in self._all():
            if waiter.is_gone():
                _end(waiter, None)
        if not self._of_account:
            return
        try:
            async with self._database.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await events.number(opened)
                found = await heads.of(opened, list(self._of_account))
        except connection.TRANSIENT:
            # They wait on; whoever asks anew is told that the database is away.
            await asyncio.sleep(AWAY_SECONDS)
            raise
        for waiter in self._all():
            if (of_account := found.get(waiter.account_id)) is not None:
                head = of_account.events if waiter.log == "events" else of_account.inbound
                if head > waiter.number:
                    _end(waiter, head)

    def stop(self) -> None:
        """End all waiting; from now on nobody waits."""
        self._stops = True
        for waiter in self._all():
            _end(waiter, None)


_LATER = {"Retry-After": "2"}


def _end(waiter: _Waiter, head: int | None) -> None:
    if not waiter.head.done():
        waiter.head.set_result(head)
