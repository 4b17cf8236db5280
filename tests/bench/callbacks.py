"""`./test bench callbacks`: how long carriers wait for the answers to calls about receipts."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import psutil
import rich.table
import uvloop

from deploy.local.servers import Servers
from tests import fleet, servers
from tests.bench import contender, report
from tests.bench.figures import percentile
from tests.integration.dlr import world

CARRIER = "sealed"
TARGET_MS = 50.0
_CONNECTIONS = 256
_PAGE_COUNT = 1_000
_WARM_UP_COUNT = 500
_END_SECONDS = 60.0


def main(arguments: Sequence[str]) -> int:
    """Call, measure, prove; 1 if the target is missed or the proof fails."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            servers.throwaway(durable=True) as started,
            tempfile.TemporaryDirectory(prefix="sluice-callbacks-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            figures = runner.run(
                _measure(started, Path(folder), options.rate, int(options.rate * options.seconds))
            )
    except contender.NotProved as problem:
        report.console.print(f"\nnot proved: {problem}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if _print(options.rate, figures) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./test bench callbacks",
        description="Calls dlr at a steady pace, each call signed and about a segment of its own, "
        "on private servers with fsync on, and measures from the moment a call was due until its "
        "answer, which says that the broker has the receipt on disk. Then it proves that each "
        "message was delivered.",
    )
    parser.add_argument("--rate", type=float, default=1_000, help="calls a second (1000)")
    parser.add_argument("--seconds", type=float, default=15, help="for so long (15)")
    return parser


class _CallFigures(NamedTuple):
    """How long each call waited, and dlr's CPU for one, with the receipt's way into PostgreSQL."""

    waits_ms: Sequence[float]
    cpu_micro: float
    idle_percent: float


async def _measure(started: Servers, folder: Path, rate: float, count: int) -> _CallFigures:
    with fleet.fleet(started, folder) as sluice:
        async with asyncpg.create_pool(started.database_url, min_size=1, max_size=2) as pool:
            town = await world.build(pool)
            names = await _submitted(town, _WARM_UP_COUNT + count)
            await sluice.start_all(("dlr",))
            calls = [_call(name) for name in names]
            port = sluice.ports["dlr"]
            await _make(port, calls[:_WARM_UP_COUNT], rate / 2)
            process = psutil.Process(sluice.pid("dlr"))
            before = process.cpu_times()
            psutil.cpu_percent()
            waits_ms, told = await _make(port, calls[_WARM_UP_COUNT:], rate)
            idle_percent = 100 - psutil.cpu_percent()
            if told != {200: count}:
                raise contender.NotProved(f"answers by status: {dict(told)}")
            await _prove(town, len(names))
            after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return _CallFigures(waits_ms, spent / count * 1e6, idle_percent)


async def _submitted(town: world.World, count: int) -> list[str]:
    """The carrier's names of so many messages that it took."""
    names: list[str] = []
    while len(names) < count:
        page = await town.hand_over(min(_PAGE_COUNT, count - len(names)), carrier=CARRIER)
        await town.answer(page)
        names += [world.carrier_name_of(message_id) for message_id in page]
    return names


def _call(name: str) -> bytes:
    body = msgspec.json.encode({"id": name, "state": "DELIVRD", "code": "000"})
    proof = hmac.new(world.HMAC_SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST /carriers/{CARRIER}/receipts HTTP/1.1\r\nHost: sluice\r\nX-Signature: {proof}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _make(port: int, calls: Sequence[bytes], rate: float) -> tuple[list[float], Counter[int]]:
    """Each call when it is due, over the next connection that is free: a call that has to wait for
    one has begun to wait for its answer. The waits, and the answers by status."""
    due_at = time.perf_counter() + 0.1
    waiting = iter([(due_at + place / rate, call) for place, call in enumerate(calls)])
    waits_ms: list[float] = []
    told: Counter[int] = Counter()

    async def call_when_due() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for due, call in waiting:
            await asyncio.sleep(due - time.perf_counter())
            writer.write(call)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _END_SECONDS)
            waits_ms.append((time.perf_counter() - due) * 1_000)
            told[int(head[9:12])] += 1
        writer.close()

    await asyncio.gather(*(call_when_due() for _ in range(_CONNECTIONS)))
    return waits_ms, told


async def _prove(town: world.World, count: int) -> None:
    async def all_are_delivered() -> bool:
        query = "SELECT count(*) FROM messages WHERE status = 'delivered'"
        return bool(await town.pool.fetchval(query) == count)

    try:
        await world.eventually(all_are_delivered, _END_SECONDS)
    except AssertionError:
        raise contender.NotProved("not every message was delivered") from None


def _print(rate: float, figures: _CallFigures) -> bool:
    table = rich.table.Table(f"{rate:,.0f} calls/s", box=None, pad_edge=False)
    for heading in (
        "calls",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "worst ms",
        "dlr µs",
        "idle %",
        "target",
        "",
    ):
        table.add_column(heading, justify="right")
    shares = [percentile(figures.waits_ms, share) for share in (0.5, 0.95, 0.99, 1.0)]
    met = shares[2] < TARGET_MS
    table.add_row(
        "answered by dlr",
        f"{len(figures.waits_ms):,}",
        *(f"{each:,.1f}" for each in shares),
        f"{figures.cpu_micro:,.0f}",
        f"{figures.idle_percent:,.0f}",
        f"p99 < {TARGET_MS:,.0f}",
        "met" if met else "missed",
    )
    report.console.print(table)
    return met
