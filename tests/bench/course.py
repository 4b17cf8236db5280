"""One load from its first request to its last recorded receipt: sent, timed, measured, proved."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import psutil

from tests import fleet
from tests.bench import figures, meters, producer, stage, workload

COURSE_SECONDS = 120.0
_POLL_SECONDS = 0.02
_MEMORY_SECONDS = 1.0
_GENERATOR = "load generator"

# Partial indexes of just these rows answer it, so that asking costs next to nothing.
_OPEN = """
SELECT EXISTS (SELECT FROM segments WHERE state IN ('submitted', 'in_doubt'))
    OR EXISTS (SELECT FROM segments WHERE state = 'submitting')
    OR EXISTS (SELECT FROM work)
"""
_STATUSES = "SELECT status, count(*) FROM messages GROUP BY status"


class NotProved(Exception):
    """A message was lost, doubled or not delivered, or did not get there in time."""


@dataclass(frozen=True, slots=True)
class Load:
    """A way to send: single requests, or batches of `batch_size`, so many in flight."""

    name: str
    batch_size: int
    connections: int

    @property
    def description(self) -> str:
        """What the heading of its table says."""
        if not self.batch_size:
            return f"POST /v1/messages, {self.connections} connections"
        return f"POST /v1/messages/batch, {self.batch_size} each, {self.connections} in flight"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a load: its Unix times in seconds, and what was found."""

    load: Load
    started_at: float
    ended_at: float
    figures: figures.Figures


@dataclass(frozen=True, slots=True)
class _Timed:
    """What came of a course: times, readings before and after, and the journal's page."""

    tally: producer.Tally
    before: meters.Reading
    after: meters.Reading
    ended_at: float
    submits: Mapping[str, list[float]]

    @property
    def started_at(self) -> float:
        return min(self.tally.sent_at)


async def run(where: stage.Stage, load: Load, first: int, count: int) -> Run:
    """Send messages `first` to `first + count` and measure. Raises NotProved."""
    where.meters.forget_memory()
    try:
        async with asyncio.timeout(COURSE_SECONDS):
            timed = await _time(where, load, first, count)
    except TimeoutError:
        statuses = {row["status"]: row["count"] for row in await where.database.fetch(_STATUSES)}
        detail = f"{where.journal.count:,} of {count:,} submitted; messages: {statuses}"
        raise NotProved(f"{load.name}: not done in {COURSE_SECONDS:.0f} s: {detail}") from None
    _prove_submits(load, timed.submits, first, count)
    await _prove_statuses(where, first + count)
    found = _figures(where, load, timed, first, count)
    return Run(load, timed.started_at, timed.ended_at, found)


async def _time(where: stage.Stage, load: Load, first: int, count: int) -> _Timed:
    order = producer.Order(
        ports=where.api_ports,
        token=where.token,
        first=first,
        count=count,
        batch_size=load.batch_size,
        connections=load.connections,
        tally_path=str(where.fleet.folder / "tally.json"),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.producer"),
        cwd=fleet.ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        if await process.stdout.readline() != b"ready\n":
            raise NotProved(f"{load.name}: the load generator could not connect")
        before = where.meters.read()
        process.stdin.write(b"go\n")
        said = asyncio.create_task(process.stdout.readline())
        await _follow(where, said, count)
        ended_at = time.time()
        after = where.meters.read()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if said.result() != b"done\n":
        raise NotProved(f"{load.name}: the load generator failed")
    tally = producer.read_tally(order)
    return _Timed(tally, before, after, ended_at, where.journal.take())


async def _follow(where: stage.Stage, said: asyncio.Task[bytes], count: int) -> None:
    """Wait until all is submitted and every receipt recorded, watching from afar."""
    remember_at = 0.0
    while where.journal.follow() < count or not said.done() or await _has_open(where):
        if said.done() and said.result() != b"done\n":
            return
        if time.monotonic() >= remember_at:
            where.meters.note_memory()
            remember_at = time.monotonic() + _MEMORY_SECONDS
        await asyncio.sleep(_POLL_SECONDS)
    where.meters.note_memory()


async def _has_open(where: stage.Stage) -> bool:
    return bool(await where.database.fetchval(_OPEN))


def _prove_submits(load: Load, submits: Mapping[str, list[float]], first: int, count: int) -> None:
    wanted = {workload.recipient(index) for index in range(first, first + count)}
    missing, strange = len(wanted - submits.keys()), len(submits.keys() - wanted)
    repeated = sum(len(times) > 1 for times in submits.values())
    if missing or strange or repeated:
        raise NotProved(
            f"{load.name}: the carrier took {repeated} twice, {strange} never sent, "
            f"and lacks {missing}"
        )


async def _prove_statuses(where: stage.Stage, sent_count: int) -> None:
    statuses = {row["status"]: row["count"] for row in await where.database.fetch(_STATUSES)}
    if statuses != {"delivered": sent_count}:
        raise NotProved(f"{sent_count:,} messages sent, and in the database are {statuses}")


def _figures(
    where: stage.Stage, load: Load, timed: _Timed, first: int, count: int
) -> figures.Figures:
    tally, started = timed.tally, timed.started_at
    size = load.batch_size or 1
    waits = [
        (timed.submits[workload.recipient(first + place)][0] - tally.answered_at[place // size])
        * 1000
        for place in range(count)
    ]
    answers = [
        (answered - sent) * 1000
        for sent, answered in zip(tally.sent_at, tally.answered_at, strict=True)
    ]
    wall = timed.ended_at - started
    cpu = _cpu(timed)
    cores = psutil.cpu_count() or 1
    busy = timed.after.machine_busy_seconds - timed.before.machine_busy_seconds
    idle = 1 - busy / (wall * cores)
    others = (busy - sum(cpu.values())) / (wall * cores)
    return figures.Figures(
        accepted_per_second=count / (max(tally.answered_at) - started),
        submitted_per_second=count / (max(t[-1] for t in timed.submits.values()) - started),
        recorded_per_second=count / wall,
        request_p50_ms=figures.percentile(answers, 0.5),
        request_p99_ms=figures.percentile(answers, 0.99),
        accept_to_submit_p50_ms=figures.percentile(waits, 0.5),
        accept_to_submit_p99_ms=figures.percentile(waits, 0.99),
        wall_seconds=wall,
        cpu_micro={name: seconds * 1e6 / count for name, seconds in cpu.items()},
        memory_mb={name: size / 1e6 for name, size in where.meters.peak_bytes.items()},
        idle_percent=max(0.0, idle * 100),
        others_percent=max(0.0, others * 100),
    )


def _cpu(timed: _Timed) -> dict[str, float]:
    before = timed.before.cpu_seconds
    seconds = {name: after - before[name] for name, after in timed.after.cpu_seconds.items()}
    return {**seconds, _GENERATOR: timed.tally.cpu_seconds}
