"""An account that asks for its statistics, lists and exports, by the API alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench import figures
from tests.fleet import Fleet

_ASK_COUNT = 40
_ASK_SECONDS = 6.0
_POLL_SECONDS = 0.1
_EXPORT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class QuestionWait:
    """What the answers to one question took, and how much came."""

    name: str
    p50_ms: float
    p95_ms: float
    worst_ms: float
    row_count: int
    target_ms: float

    @property
    def is_met(self) -> bool:
        """Whether answers were fast enough; of forty, two may meet what else the machine does."""
        return self.p95_ms <= self.target_ms


@dataclass(frozen=True, slots=True)
class ExportFigures:
    """One export, from its order to the last byte of its file."""

    format: str
    row_count: int
    byte_count: int
    write_seconds: float
    fetch_seconds: float
    writer_mb: float
    """What the writing process needed more, at its peak, than before."""
    server_mb: float
    """The same of the process that served the file."""


def questions(today: datetime) -> dict[str, tuple[str, float]]:
    """Targets by name, each with the milliseconds it may take."""
    week = today.date() - timedelta(days=7)
    hour = today - timedelta(days=30, hours=1)
    moment = f"{hour:%Y-%m-%dT%H:%M:%SZ}"
    statistics = {
        "all by day": "/v1/statistics",
        "by day, status": "/v1/statistics?by=day,status",
        "by country": "/v1/statistics?by=country",
        "by country, status, class": "/v1/statistics?by=country,status,class",
        "by reason, code": "/v1/statistics?by=status,reason,code",
        "rejected by reason, code": "/v1/statistics?outcome=rejected&by=reason,code",
        "one country by day": "/v1/statistics?country=AB&by=day",
        "a week by all but class": f"/v1/statistics?first_day={week}&by=day,country,status",
        "count: all": "/v1/messages/count",
        "count: delivered since a moment": (
            f"/v1/messages/count?status=delivered&created_from={moment}"
        ),
        "count: by reference": "/v1/messages/count?reference=order-4000",
    }
    lists = {
        "list: newest 200": "/v1/messages?limit=200",
        "list: undelivered": "/v1/messages?status=undelivered&limit=50",
        "list: from a moment": f"/v1/messages?created_from={moment}&limit=50",
    }
    return {name: (path, 200.0) for name, path in statistics.items()} | {
        name: (path, 50.0) for name, path in lists.items()
    }


@asynccontextmanager
async def session(sluice: Fleet, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of this account."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{sluice.ports['ingest']}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=_EXPORT_SECONDS),
    ) as opened:
        yield opened


async def ask(client: aiohttp.ClientSession) -> list[QuestionWait]:
    """Ask each question again and again, one request after the other."""
    return [
        await _ask(client, name, path, target_ms)
        for name, (path, target_ms) in questions(datetime.now(UTC)).items()
    ]


async def _ask(
    client: aiohttp.ClientSession, name: str, path: str, target_ms: float
) -> QuestionWait:
    waits: list[float] = []
    until = time.monotonic() + _ASK_SECONDS
    while len(waits) <= _ASK_COUNT and (time.monotonic() < until or len(waits) < 3):
        began = time.perf_counter()
        async with client.get(path) as answer:
            body = await answer.json(content_type=None)
        waits.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise AssertionError(f"{name}: {answer.status} {body}")
    # The first one finds nothing planned and nothing in memory.
    waits = waits[1:]
    rows = body.get("rows") or body.get("messages") or [body]
    p50_ms, p95_ms = (figures.percentile(waits, share) for share in (0.5, 0.95))
    return QuestionWait(name, p50_ms, p95_ms, max(waits), len(rows), target_ms)


async def export(
    sluice: Fleet, client: aiohttp.ClientSession, from_at: datetime, chosen: str
) -> ExportFigures:
    """Order the messages since a moment, wait for the file and fetch it."""
    before = {role: _reset_peak(sluice.pid(role)) for role in ("dlr", "ingest")}
    began = time.monotonic()
    body = {"created_from": from_at.isoformat(), "format": chosen}
    async with client.post("/v1/exports", json=body) as answer:
        ordered: dict[str, Any] = await answer.json()
    async with asyncio.timeout(_EXPORT_SECONDS):
        while (found := await _read(client, ordered["id"]))["state"] != "completed":
            if found["state"] == "error":
                raise AssertionError(f"the export failed: {sluice.log('dlr')}")
            await asyncio.sleep(_POLL_SECONDS)
    written = time.monotonic()
    byte_count = 0
    async with client.get(found["url"]) as answer:
        async for part in answer.content.iter_any():
            byte_count += len(part)
    fetched = time.monotonic()
    if byte_count != found["size"]:
        raise AssertionError(f"{byte_count} bytes of {found['size']} came")
    return ExportFigures(
        chosen,
        found["rows"],
        byte_count,
        written - began,
        fetched - written,
        _peak_mb(sluice.pid("dlr")) - before["dlr"],
        _peak_mb(sluice.pid("ingest")) - before["ingest"],
    )


async def _read(client: aiohttp.ClientSession, export_id: int) -> dict[str, Any]:
    async with client.get(f"/v1/exports/{export_id}") as answer:
        found: dict[str, Any] = await answer.json()
    return found


def _reset_peak(pid: int) -> float:
    """Let a process's peak be counted from now on; MB that it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _peak_mb(pid)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
