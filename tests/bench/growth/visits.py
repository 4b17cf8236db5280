"""How long a producer waits for its own messages: one, and lists by each filter."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import asyncpg

from tests.bench import figures, stage

_VISIT_COUNT = 200
_KIND_SECONDS = 5.0
"""A kind that is slow is asked less often, for no longer than this in all."""
_WARM_UP_COUNT = 5
_HOUR = timedelta(hours=1)

# Spread evenly over an account's messages, whatever their number.
_SAMPLE = """
SELECT found.message_id, found.recipient, found.reference, found.created_at
FROM (SELECT min(created_at) AS least, max(created_at) AS greatest FROM (
          (SELECT created_at FROM messages WHERE account_id = $1 ORDER BY message_id LIMIT 1)
          UNION ALL
          (SELECT created_at FROM messages WHERE account_id = $1 ORDER BY message_id DESC LIMIT 1)
      ) ends) span
CROSS JOIN generate_series(0, $2::int - 1) AS place
CROSS JOIN LATERAL (
    SELECT message_id, recipient, reference, created_at FROM messages
    WHERE account_id = $1 AND message_id >= (
        lpad(to_hex((extract(epoch FROM span.least + (span.greatest - span.least) * place / $2)
                     * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    ORDER BY message_id LIMIT 1
) found"""


@dataclass(frozen=True, slots=True)
class Waits:
    """What the answers to one kind of request took."""

    name: str
    p50_ms: float
    p99_ms: float


async def measure(where: stage.Stage, place: int, of: int) -> list[Waits]:
    """Ask as the first account, one request after the other: the pass at this place of so many, for
    messages that no other pass asks for."""
    account_id = await where.database.fetchval("SELECT min(account_id) FROM accounts")
    rows = await where.database.fetch(_SAMPLE, account_id, _VISIT_COUNT * of)
    async with _session(where) as session:
        kinds = _kinds(rows[place::of])
        return [await _ask(session, name, targets) for name, targets in kinds.items()]


def median(passes: Sequence[Waits]) -> Waits:
    """What several passes of one kind took, each percentile by its median."""
    return Waits(
        passes[0].name,
        statistics.median(each.p50_ms for each in passes),
        statistics.median(each.p99_ms for each in passes),
    )


def _kinds(rows: Sequence[asyncpg.Record]) -> dict[str, list[str]]:
    """Targets of each kind, in turn."""
    lists = "/v1/messages?"
    spans = [(row["created_at"], row["created_at"] + _HOUR) for row in rows]
    named = [row["reference"] for row in rows if row["reference"]] or ["order-0"]
    return {
        "one message": [f"/v1/messages/{row['message_id']}" for row in rows],
        "newest": [f"{lists}limit=50"] * len(rows),
        "by status": [f"{lists}status=undelivered"] * len(rows),
        "by recipient": [f"{lists}to=%2B{row['recipient'][1:]}" for row in rows],
        "by reference": [f"{lists}reference={name}" for name in named],
        "by time": [
            f"{lists}created_from={low:%Y-%m-%dT%H:%M:%SZ}&created_until={high:%Y-%m-%dT%H:%M:%SZ}"
            for low, high in spans
        ],
    }


@asynccontextmanager
async def _session(where: stage.Stage) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{where.api_ports[0]}",
        headers={"Authorization": f"Bearer {where.tokens[0]}"},
        timeout=aiohttp.ClientTimeout(total=60),
    ) as session:
        yield session


async def _ask(session: aiohttp.ClientSession, name: str, targets: Sequence[str]) -> Waits:
    waits: list[float] = []
    until = time.monotonic() + _KIND_SECONDS
    for turn in range(_WARM_UP_COUNT + _VISIT_COUNT):
        if waits and time.monotonic() > until:
            break
        began = time.perf_counter()
        async with session.get(targets[turn % len(targets)]) as answer:
            body = await answer.read()
        if answer.status != 200:
            raise AssertionError(f"{name}: {answer.status} {body[:300]!r}")
        if turn >= _WARM_UP_COUNT:
            waits.append((time.perf_counter() - began) * 1000)
    return Waits(name, figures.percentile(waits, 0.5), figures.percentile(waits, 0.99))
