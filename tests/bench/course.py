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
from tests.bench import figures, meters, producer, workload
from tests.bench.contender import Contender, Load, NotProved

_POLL_SECONDS = 0.02
_MEMORY_SECONDS = 1.0
_SETTLE_SECONDS = 60.0
_GENERATOR = "load generator"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a load: its Unix times in seconds, and what was found."""

    load: Load
    count: int
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
    wal_bytes: int

    @property
    def started_at(self) -> float:
        return min(self.tally.sent_at)


async def run(whom: Contender, load: Load, first: int, count: int) -> Run:
    """Send messages `first` to `first + count` and measure. Raises NotProved."""
    whom.meters.forget_memory()
    await whom.begin()
    seconds = producer.seconds_to_send(count) + _SETTLE_SECONDS
    try:
        async with asyncio.timeout(seconds):
            timed = await _time(whom, load, first, count)
    except TimeoutError:
        raise NotProved(
            f"{load.name}: not done in {seconds:.0f} s: {whom.journal.count:,} of {count:,} "
            f"submitted, {await whom.receipt_count():,} delivered"
        ) from None
    _prove_submits(load, timed.submits, first, count)
    await whom.prove(count)
    found = _figures(whom, load, timed, first, count)
    return Run(load, count, timed.started_at, timed.ended_at, found)


async def _time(whom: Contender, load: Load, first: int, count: int) -> _Timed:
    order = whom.order(load, first, count)
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
        wal_before = await whom.wal_bytes()
        before = whom.meters.read()
        process.stdin.write(b"go\n")
        said = asyncio.create_task(process.stdout.readline())
        await _follow(whom, said, count)
        ended_at = time.time()
        after = whom.meters.read()
        wal_bytes = await whom.wal_bytes() - wal_before
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if said.result() != b"done\n":
        raise NotProved(f"{load.name}: the load generator failed")
    tally = producer.read_tally(order)
    return _Timed(tally, before, after, ended_at, whom.journal.take(), wal_bytes)


async def _follow(whom: Contender, said: asyncio.Task[bytes], count: int) -> None:
    """Wait until all is submitted and every receipt recorded, watching from afar."""
    remember_at = 0.0
    while whom.journal.follow() < count or not said.done() or await whom.receipt_count() < count:
        if said.done() and said.result() != b"done\n":
            return
        if time.monotonic() >= remember_at:
            whom.meters.note_memory()
            remember_at = time.monotonic() + _MEMORY_SECONDS
        await asyncio.sleep(_POLL_SECONDS)
    whom.meters.note_memory()


def _prove_submits(load: Load, submits: Mapping[str, list[float]], first: int, count: int) -> None:
    wanted = {workload.recipient(index) for index in range(first, first + count)}
    missing, strange = len(wanted - submits.keys()), len(submits.keys() - wanted)
    repeated = sum(len(times) > 1 for times in submits.values())
    if missing or strange or repeated:
        raise NotProved(
            f"{load.name}: the carrier took {repeated} twice, {strange} never sent, "
            f"and lacks {missing}"
        )


def _figures(whom: Contender, load: Load, timed: _Timed, first: int, count: int) -> figures.Figures:
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
        wal_bytes=timed.wal_bytes / count,
        cpu_micro={name: seconds * 1e6 / count for name, seconds in cpu.items()},
        memory_mb={name: size / 1e6 for name, size in whom.meters.peak_bytes.items()},
        idle_percent=max(0.0, idle * 100),
        others_percent=max(0.0, others * 100),
    )


def _cpu(timed: _Timed) -> dict[str, float]:
    before = timed.before.cpu_seconds
    seconds = {name: after - before[name] for name, after in timed.after.cpu_seconds.items()}
    return {**seconds, _GENERATOR: timed.tally.cpu_seconds}
