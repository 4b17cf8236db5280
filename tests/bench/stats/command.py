"""`./test bench stats`: ten million messages are made, then asked about and exported."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import rich.table

from deploy.local.servers import Servers
from tests import fleet, servers
from tests.bench import report
from tests.bench.stats import asking, population

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StatsOutcome:
    """All figures of a run."""

    message_count: int
    generated_seconds: float
    statistics_row_count: int
    waits: list[asking.QuestionWait]
    exports: list[asking.ExportFigures]


def main(arguments: Sequence[str]) -> int:
    """Make, ask, export, print; 1 if a target is missed."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            servers.throwaway(durable=True) as started,
            tempfile.TemporaryDirectory(prefix="sluice-stats-") as folder,
        ):
            found = asyncio.run(measure(started, Path(folder), options.messages, options.export))
    except KeyboardInterrupt:
        return 130
    _print(found)
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2) + "\n", "utf-8")
    return 0 if all(wait.is_met for wait in found.waits) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./test bench stats",
        description="Makes an account with three months of messages on private servers with fsync "
        "on, and measures by the API what its statistics, counts, lists and exports take. The full "
        "form needs about 15 GB of disk.",
    )
    parser.add_argument("--messages", type=int, default=10_000_000, help="stored (10000000)")
    parser.add_argument("--export", type=int, default=1_000_000, help="rows exported (1000000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    return parser


async def measure(
    started: Servers, folder: Path, message_count: int, export_count: int
) -> StatsOutcome:
    """All figures, on servers of one's own."""
    with fleet.fleet(started, folder) as sluice:
        sluice.apply(fleet.account("bench"))
        token = sluice.token("bench")
        database = await asyncpg.connect(started.database_url, timeout=_CONNECT_SECONDS)
        try:
            began = time.monotonic()
            with report.console.status("storing messages") as status:
                async for done in population.store(database, message_count):
                    status.update(f"{done:,} of {message_count:,} messages stored")
            generated_seconds = time.monotonic() - began
            row_count = await database.fetchval("SELECT count(*) FROM statistics")
        finally:
            await database.close(timeout=_CONNECT_SECONDS)
        await sluice.start_all(("dlr", "ingest"))
        async with asking.session(sluice, token) as client:
            waits = await asking.ask(client)
            share = min(1.0, export_count / message_count)
            from_at = datetime.now(UTC) - timedelta(days=population.PAST_DAYS * share)
            exports = [
                await asking.export(sluice, client, from_at, chosen) for chosen in ("csv", "jsonl")
            ]
    return StatsOutcome(message_count, generated_seconds, row_count, waits, exports)


def _print(found: StatsOutcome) -> None:
    report.console.print(
        f"\n{found.message_count:,} messages of one account in {population.PAST_DAYS} days, stored "
        f"in {found.generated_seconds:,.0f} s; {found.statistics_row_count:,} rows of statistics"
    )
    table = rich.table.Table("GET", box=None, pad_edge=False)
    for heading in ("p50 ms", "p95 ms", "worst ms", "target", "rows", ""):
        table.add_column(heading, justify="right")
    for wait in found.waits:
        times = (wait.p50_ms, wait.p95_ms, wait.worst_ms, wait.target_ms)
        numbers = (f"{each:,.1f}" for each in times)
        table.add_row(
            wait.name, *numbers, f"{wait.row_count:,}", "met" if wait.is_met else "missed"
        )
    report.console.print(table)
    table = rich.table.Table("export", box=None, pad_edge=False)
    for heading in ("rows", "MB", "written s", "rows/s", "fetched s", "writer +MB", "server +MB"):
        table.add_column(heading, justify="right")
    for each in found.exports:
        table.add_row(
            each.format,
            f"{each.row_count:,}",
            f"{each.byte_count / 1e6:,.0f}",
            f"{each.write_seconds:,.1f}",
            f"{each.row_count / each.write_seconds:,.0f}",
            f"{each.fetch_seconds:,.1f}",
            f"{each.writer_mb:,.0f}",
            f"{each.server_mb:,.0f}",
        )
    report.console.print(table)
