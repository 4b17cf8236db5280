"""A fleet on servers of its own, with everything that can be done to it."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import asyncio as redis

from deploy.local.servers import Servers
from tests.chaos import books
from tests.fleet import Fleet

ROLES = ("simulator", "dlr", "a", "b", "ingest")
DISPATCHERS = ("a", "b")
BINDS = 2
WINDOW = 50
IN_FLIGHT_MAX = BINDS * WINDOW
"""What one dispatcher may leave in doubt when it is killed."""
RESPONSE_SECONDS = 15.0
RESUBMIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done, and when its part was there again (Unix time in ms)."""

    name: str
    back_ms: float


class Arena:
    """One simulator, one ingest, one dlr, and two dispatchers called a and b."""

    def __init__(self, fleet: Fleet, servers: Servers) -> None:
        self.fleet = fleet
        self.servers = servers
        self.faults: list[Fault] = []

    async def open(self) -> None:
        """Start every process."""
        for name in ROLES:
            role = "dispatcher" if name in DISPATCHERS else name
            self.fleet.start(role, name, SLUICE_RESUBMIT_SECONDS=str(RESUBMIT_SECONDS))
        await self.fleet.ready(*ROLES)

    async def repair(self) -> None:
        """Start whatever a test before has left dead, and forget what was done."""
        for name in self.servers.ended():
            await asyncio.to_thread(self.servers.restart, name)
        for name in self.fleet.ended():
            self.fleet.restart(name)
        await self.fleet.ready(*ROLES)
        self.faults.clear()

    async def wait(self, seconds: float) -> None:
        """Let the load run for a while before the next fault."""
        await asyncio.sleep(seconds)

    async def kill(self, name: str) -> None:
        """kill -9 of a process, started again at once."""
        await asyncio.to_thread(self.fleet.kill, name)
        self._back(f"kill {name}", lambda: self.fleet.restart(name))
        await self.fleet.ready(name)

    async def terminate(self, name: str) -> int:
        """SIGTERM of a process; started again after it has ended. Returns its exit status."""
        status = await asyncio.to_thread(self.fleet.stop, name)
        self._back(f"terminate {name}", lambda: self.fleet.restart(name))
        await self.fleet.ready(name)
        return status

    async def crash(self, server: str, away_seconds: float) -> None:
        """kill -9 of a server, started again after a while."""
        await asyncio.to_thread(self.servers.kill, server)
        await asyncio.sleep(away_seconds)
        await asyncio.to_thread(self.servers.restart, server)
        self._back(f"crash {server}")

    async def wipe_rabbitmq(self) -> None:
        """RabbitMQ killed, its data folder deleted, and an empty one in its place."""
        await asyncio.to_thread(self.servers.wipe_rabbitmq)
        self._back("wipe rabbitmq")

    async def flush_redis(self) -> None:
        """FLUSHALL."""
        client = redis.Redis.from_url(self.servers.redis_url)
        try:
            await client.flushall()
        finally:
            await client.aclose()
        self._back("flushall")

    def apply(self, configuration: str) -> None:
        """Load more configuration into the running fleet."""
        self.fleet.apply(
            configuration, binds=BINDS, window=WINDOW, response_seconds=RESPONSE_SECONDS
        )

    async def audit_ok(self) -> bool:
        """Whether the audit finds nothing; what it finds is printed."""
        verdict = await asyncio.to_thread(self.fleet.audit)
        if not verdict["ok"]:
            print([check for check in verdict["checks"] if check["breaches"]])
        return bool(verdict["ok"])

    def _back(self, name: str, start: Callable[[], None] | None = None) -> None:
        self.faults.append(Fault(name, time.time() * 1000))
        if start is not None:
            start()

    def count(self, word: str) -> int:
        """How many faults have this word in their name."""
        return sum(word in fault.name.split() for fault in self.faults)

    def journal(self, senders: Sequence[str]) -> list[books.Submit]:
        """The carrier's book, as far as these senders go."""
        return submits(self.fleet.journal(), senders)


def submits(entries: Iterable[Mapping[str, Any]], senders: Sequence[str]) -> list[books.Submit]:
    """What a carrier's journal says of these senders' messages."""
    return [
        books.Submit(
            entry["t"],
            entry["source"],
            entry["recipient"],
            entry.get("number", 1),
            entry.get("total", 1),
            entry.get("whole"),
        )
        for entry in entries
        if entry["source"] in senders
    ]


def resumed_seconds(fault: Fault, happened_ms: Sequence[float]) -> float | None:
    """From the return of a part to the next thing that happened; None when nothing did after.
    `happened_ms` is sorted."""
    place = bisect_left(happened_ms, fault.back_ms)
    return (happened_ms[place] - fault.back_ms) / 1000 if place < len(happened_ms) else None
