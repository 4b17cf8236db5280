"""One scenario: load, faults, rest, a restart, and then the three books and the audit."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from tests import fleet
from tests.chaos import arena, books, database, load

SEED_VARIABLE = "SLUICE_TEST_SEED"
PER_SECOND = 150.0
HEAD_SECONDS, TAIL_SECONDS = 0.5, 1.5
REST_SECONDS = 60.0
"""How long queued messages may stay so after the load; a dead worker's are doubted after 10 s."""
RECEIPT_SECONDS = 40.0
RESUME_SECONDS = 30.0
NUMBERS_PER_SCENARIO = 20_000
LINES = {"Open": (10_000_000, 70), "Wide": (150, 10), "Slim": (80, 10), "Tiny": (60, 10)}
"""Each line's limit an hour, and its share of the load in percent: the last three must park, and
what they are sent in a minute and a half, as a slow machine is, must leave within a day, or it is
refused."""

SCENARIOS = (
    "ingest",
    "dispatcher",
    "dlr",
    "rabbitmq",
    "redis",
    "postgres",
    "storm",
    "terminate",
    "pause",
)
SIMULATOR = {
    "SLUICE_SIMULATOR_SYSTEM_ID": "",
    "SLUICE_SIMULATOR_ANSWER_MIN_MS": "10",
    "SLUICE_SIMULATOR_ANSWER_MAX_MS": "150",
    "SLUICE_SIMULATOR_RECEIPT_MAX_MS": "300",
    "SLUICE_SIMULATOR_RECEIPT_RETRY_MS": "500",
}

_UNLIMITED = 10_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a scenario.

    `used_share` is the least that any full line has used of its limit, 1 being all of it;
    `slowest_resume_seconds` is from a part's return to the next message accepted and submitted.
    """

    verdict: books.Verdict
    strange_answers: dict[int, int]
    audit_ok: bool
    submits_after_restart: int
    slowest_resume_seconds: float
    used_share: float


def sender(name: str, line: str) -> str:
    """A line's sender id, unique over all scenarios."""
    return f"{line}{SCENARIOS.index(name)}"


def configure(stage: arena.Arena) -> None:
    """An account with four lines for every scenario, and the way to the simulator."""
    parts = []
    for name in SCENARIOS:
        parts.append(fleet.account(name, credit="100000", sender=sender(name, "Main")))
        parts += [
            fleet.line(name, sender(name, line), limits=(hour, _UNLIMITED, _UNLIMITED))
            for line, (hour, _) in LINES.items()
        ]
    stage.apply("".join(parts))


def seeded(name: str) -> Random:
    """The scenario's own randomness; its seed is printed, and taken from SLUICE_TEST_SEED."""
    seed = os.environ.get(SEED_VARIABLE) or str(secrets.randbelow(1_000_000))
    print(f"\n{name}: {SEED_VARIABLE}={seed}")
    return Random(f"{name} {seed}")


async def play(
    stage: arena.Arena,
    name: str,
    faults: Callable[[arena.Arena, Random], Awaitable[None]],
    *,
    restart: bool = False,
) -> Outcome:
    """Load the scenario's account for as long as `faults` lasts and a moment more, let everything
    come to rest, restart every process if that is wanted, and compare the books."""
    random = seeded(name)
    shares = {sender(name, line): share for line, (_, share) in LINES.items()}
    limits = {sender(name, line): hour for line, (hour, _) in LINES.items()}
    first = SCENARIOS.index(name) * NUMBERS_PER_SCENARIO
    url, token = stage.fleet.environment["SLUICE_API_URL"], stage.fleet.token(name)
    async with load.Client(url, token, random, shares, first) as client:
        await _load(client, faults(stage, random))
    for ended in stage.fleet.ended():
        raise AssertionError(f"{ended} ended by itself: {stage.fleet.log(ended)}")
    await rest(stage, name)
    slowest = _print_resumes(stage, client.book, list(shares))
    submits_before = len(stage.journal(list(shares)))
    if restart:
        await _restart_all(stage)
        await rest(stage, name)
    journal = stage.journal(list(shares))
    stored = await database.book(stage.servers.database_url, name)
    verdict = books.compare(client.book, stored, journal, limits)
    print(f"{name}: {len(stage.faults)} faults; {verdict}")
    return Outcome(
        verdict,
        dict(client.strange),
        await stage.audit_ok(),
        len(journal) - submits_before,
        slowest,
        _used_share(client.book, journal, limits),
    )


async def _load(client: load.Client, faults: Awaitable[None]) -> None:
    """Load for as long as the faults last and a moment more; until everything is answered."""
    stop = asyncio.Event()
    running = asyncio.create_task(client.run(PER_SECOND, stop))
    try:
        await asyncio.sleep(HEAD_SECONDS)
        await faults
        await asyncio.sleep(TAIL_SECONDS)
    finally:
        stop.set()
        await running


def _used_share(
    book: list[books.Wish], journal: list[books.Submit], limits: dict[str, int]
) -> float:
    """How much of its limit the worst line has used, of those asked for more than their limit."""
    wanted = Counter(wish.line for wish in book)
    used = Counter(submit.source for submit in journal)
    full = [line for line, limit in limits.items() if wanted[line] > limit]
    print("  used of limits:", ", ".join(f"{used[line]} of {limits[line]}" for line in full))
    return min((used[line] / limits[line] for line in full), default=1.0)


async def rest(stage: arena.Arena, name: str) -> None:
    """Wait until nothing of an account is on its way, and until its receipts are here or must be
    lost. What has not come to rest by then is for the books to find."""
    began = time.monotonic()
    while True:
        seconds = time.monotonic() - began
        found = await database.statuses(stage.servers.database_url, name)
        waiting = found.get("queued", 0)
        unreported = found.get("submitted", 0)
        if not waiting and (not unreported or seconds > RECEIPT_SECONDS):
            return
        if seconds > REST_SECONDS:
            return
        await asyncio.sleep(0.25)


def _print_resumes(stage: arena.Arena, book: list[books.Wish], senders: list[str]) -> float:
    """The slowest return to work, in seconds; 0 without faults."""
    accepted = sorted(wish.answered_ms for wish in book if wish.message_id)
    submitted = sorted(submit.at_ms for submit in stage.journal(senders))
    slowest = 0.0
    for fault in stage.faults:
        accepting = arena.resumed_seconds(fault, accepted)
        submitting = arena.resumed_seconds(fault, submitted)
        if accepting is None or submitting is None:
            raise AssertionError(f"nothing happened after {fault.name}")
        print(f"  {fault.name}: accepting after {accepting:.2f} s, submitting {submitting:.2f} s")
        slowest = max(slowest, accepting, submitting)
    return slowest


async def _restart_all(stage: arena.Arena) -> None:
    """SIGTERM of every process of ours at once, and a new one for each."""
    names = [name for name in arena.ROLES if name != "simulator"]
    statuses = await asyncio.gather(*(asyncio.to_thread(stage.fleet.stop, name) for name in names))
    assert statuses == [0] * len(names), f"exit statuses {dict(zip(names, statuses, strict=True))}"
    for name in names:
        stage.fleet.restart(name)
    await stage.fleet.ready(*names)
