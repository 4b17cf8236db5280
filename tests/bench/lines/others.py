"""Whether others notice a long queue on one line: the same sends without it and beside it, in turn,
so that what drifts meanwhile (tables that grow, the machine) is on both sides."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from tests import fleet
from tests.bench import contender, delivered, figures, meters, orders, producer, stage
from tests.bench.lines import population

Side = Literal["without", "beside"]
Pieces = Sequence[Sequence[float]]
"""Milliseconds that each send took, by piece."""
TURNS: tuple[Side, ...] = ("without", "beside", "beside", "without")
PIECE_SECONDS = 6.0
"""Ingest closes connections that ask for nothing in their first 10 s."""
PIECE_COUNT = 2
"""Of a block: what is sent before the queue comes or goes."""
CALM_SHARE_MAX = 0.05
"""Of all cores: where programs outside the benchmark take more while a piece is sent, it is sent
again, whichever side it is of."""
TRY_COUNT_MAX = 4 * PIECE_COUNT
"""Pieces of a block; if too few of them were calm, the calmest count."""
_CONNECTIONS = 100
_SETTLE_SECONDS = 1.0
_LEFT_SECONDS = 120.0
_POLL_SECONDS = 0.2
_RESAMPLE_COUNT = 400

_WAITS = """
SELECT extract(epoch FROM s.submitted_at - m.created_at)::float8 * 1000
FROM messages m JOIN segments s USING (message_id)
WHERE message_id >= $1 AND m.sender < $2 AND s.submitted_at IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class PieceCost:
    """What all processes of Sluice and its servers took while a piece was sent, and, as a share of
    all cores, what programs outside the benchmark did."""

    cpu_seconds: float
    outside_share: float


@dataclass(slots=True)
class Waits:
    """Milliseconds from accepting to submitting, of each piece of each side in the order sent."""

    without: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)
    costs: dict[Side, list[PieceCost]] = field(default_factory=lambda: {each: [] for each in TURNS})

    def cpu_micro(self, side: Side) -> float:
        """CPU of a send: other than its time, it hardly minds what else runs on the machine."""
        seconds = sum(cost.cpu_seconds for cost in self.costs[side])
        return seconds * 1e6 / sum(map(len, self.of(side)))

    def outside_share(self, side: Side) -> float:
        """Of all cores, what programs outside the benchmark took in the worst piece."""
        return max(cost.outside_share for cost in self.costs[side])

    def add(self, side: Side, piece: list[float], cost: PieceCost) -> None:
        """One more piece."""
        self.of(side).append(piece)
        self.costs[side].append(cost)

    def of(self, side: Side) -> list[list[float]]:
        """One side's pieces."""
        return self.without if side == "without" else self.beside

    @property
    def ratio(self) -> float:
        """p99 beside the queue, by that without."""
        return p99(self.beside) / p99(self.without)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the ratio is in 95 of 100 cases, had other pieces of these been sent."""
        chance = random.Random(99)
        drawn = sorted(
            p99(chance.choices(self.beside, k=len(self.beside)))
            / p99(chance.choices(self.without, k=len(self.without)))
            for _ in range(_RESAMPLE_COUNT)
        )
        return drawn[_RESAMPLE_COUNT // 40], drawn[-_RESAMPLE_COUNT // 40]

    @property
    def noise(self) -> float:
        """The same ratio of without to without, the one half in the middle of the other: what is
        seen of a difference where there is none."""
        quarter = len(self.without) // 4
        outer = [*self.without[:quarter], *self.without[-quarter:]]
        return p99(self.without[quarter:-quarter]) / p99(outer)


def p50(pieces: Pieces) -> float:
    """Of all that was sent in these pieces."""
    return figures.percentile([each for piece in pieces for each in piece], 0.5)


def p99(pieces: Pieces) -> float:
    """Of all that was sent in these pieces."""
    return figures.percentile([each for piece in pieces for each in piece], 0.99)


@dataclass(slots=True)
class Course:
    """All blocks, on lines that nothing is parked on."""

    where: stage.Stage
    rate: float
    line_id: int
    """On which the queue is, set aside as this begins."""
    show: Callable[[str], None]
    first: int = 0

    async def run(self, rounds: int) -> Waits:
        """So many times all turns; the queue is back in the end."""
        found = Waits()
        before: Side | None = None
        for side in TURNS * rounds:
            if side != before:
                await self._enter(side, before)
                before = side
            block = await self._block()
            for piece, cost in block:
                found.add(side, piece, cost)
            pieces = [piece for piece, _ in block]
            shares = ", ".join(f"{cost.outside_share:.1%}" for _, cost in block)
            self.show(
                f"{side}: p50 {p50(pieces):,.1f} ms, p99 {p99(pieces):,.1f} ms"
                f" (taken by programs outside: {shares})"
            )
        if before == "without":
            await population.bring_back(self.where.database, self.line_id)
        return found

    async def _block(self) -> list[tuple[list[float], PieceCost]]:
        tried: list[tuple[list[float], PieceCost]] = []
        for _ in range(TRY_COUNT_MAX):
            tried.append(await self._piece())
            calm = [each for each in tried if each[1].outside_share <= CALM_SHARE_MAX]
            if len(calm) == PIECE_COUNT:
                return calm
        return sorted(tried, key=lambda each: each[1].outside_share)[:PIECE_COUNT]

    async def _enter(self, side: Side, before: Side | None) -> None:
        """Have the queue there or not, and nothing left to do of that: what vacuum and the disk owe
        to the change is no message's wait."""
        if side == "beside":
            await population.bring_back(self.where.database, self.line_id)
        elif before is not None:
            await population.set_aside(self.where.database, self.line_id)
        await population.settle(self.where.database)
        await asyncio.to_thread(os.sync)
        await asyncio.sleep(_SETTLE_SECONDS)
        await self._piece()  # does not count

    async def _piece(self) -> tuple[list[float], PieceCost]:
        count = int(self.rate * PIECE_SECONDS)
        load = contender.Load("paced", 0, _CONNECTIONS, self.rate)
        lower = replace(self.where, line_count=self.where.line_count // 2)
        began = delivered.first_id(time.time())
        cost = await self._send(lower.order(load, self.first, count))
        self.first += count
        limit = f"L{lower.line_count:06d}"
        async with asyncio.timeout(_LEFT_SECONDS):
            while len(rows := await self.where.database.fetch(_WAITS, began, limit)) < count:
                await asyncio.sleep(_POLL_SECONDS)
        return [row[0] for row in rows], cost

    async def _send(self, order: orders.Order) -> PieceCost:
        """Have the load generator send what is ordered."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.producer"),
            cwd=fleet.ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        ready = await process.stdout.readline()
        began, before = time.monotonic(), self.where.meters.read()
        said, _ = await process.communicate(b"go\n")
        seconds, after = time.monotonic() - began, self.where.meters.read()
        if (ready, said) != (b"ready\n", b"done\n"):
            raise contender.NotProved("the load generator failed")
        sent_seconds = producer.read_tally(order).cpu_seconds
        return _cost(before, after, sent_seconds, seconds * (os.cpu_count() or 1))


def _cost(
    before: meters.Reading, after: meters.Reading, sent_seconds: float, core_seconds: float
) -> PieceCost:
    taken = {part: after.cpu_seconds[part] - before.cpu_seconds[part] for part in after.cpu_seconds}
    busy = after.machine_busy_seconds - before.machine_busy_seconds
    outside = busy - sum(taken.values()) - sent_seconds
    return PieceCost(sum(taken.values()) - taken[meters.HARNESS], max(0.0, outside) / core_seconds)
