"""kill -9 of the dispatcher at each named point between permit and acknowledgement: the books
agree, and what is in doubt is at most what was in its windows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import pytest

from tests import fleet
from tests.chaos import arena, books, database, doomed, load, scenario
from tests.chaos.arena import Arena
from tests.ports import free_port

ROUND_COUNT = int(os.environ.get("SLUICE_TEST_POINT_KILLS", "1"))
"""Kills at each point."""
BESIDE_COUNT = 2
"""Doomed dispatchers that run beside each other."""
PER_SECOND = 25.0
DOOM_SECONDS = 40.0
REST_SECONDS = 90.0
"""What was put off often waits for up to a minute."""
PACED_LIMIT = 8
"""Segments a second of the line that parks, and is released, all the time."""
SHARES = {"Plain": 60, "Paced": 40}
THREE_PARTS = "Parcel {} waits. " + "The counter is open from nine to five. " * 9
STRANGE = ("00005", "00006")
"""How phones end that the carrier refuses, or throttles at first."""
NUMBERS_PER_ROUND = 20_000
FIRST_NUMBER = 500_000

PICKY = """
[[carrier]]
name = "picky"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "picky"
password = "practice"
binds = 2
binds_max = 100
window = 25
statuses = {{ "0x0B" = "elsewhere" }}

[[route]]
account = "{account}"
carrier = "picky"
priority = 1
"""
"""A carrier that sends on what the next refuses."""
IN_HAND_MAX = arena.IN_FLIGHT_MAX + 50
_WAITING = """
SELECT m.recipient, m.status, w.state, now() - w.ready_at AS late, w.deferral_count,
       (SELECT array_agg((u.part, now() - u.submitted_at, now() - k.seen_at)::text)
        FROM submits u LEFT JOIN workers k USING (worker_id)
        WHERE u.message_id = m.message_id) AS in_hand
FROM messages m JOIN accounts a USING (account_id) LEFT JOIN work w USING (message_id)
WHERE a.name = $1 AND m.status = 'queued' ORDER BY m.message_id LIMIT 12"""
_IN_HAND = "SELECT count(*) FROM submits GROUP BY worker_id"


@pytest.mark.parametrize("name", doomed.POINTS)
def test_a_named_point_is_there(name: str) -> None:
    _, _, function = doomed.found(doomed.POINTS[name].place)
    assert callable(function)


async def test_books_agree_when_dispatchers_die_at_every_named_point(battered: Arena) -> None:
    # Given no dispatcher but those that are about to die
    for name in arena.DISPATCHERS:
        await asyncio.to_thread(battered.fleet.stop, name)
    kills: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for number in range(ROUND_COUNT):
        verdict = await _play(battered, number, kills)
        # Then the three books agree
        assert verdict.faults == {}
        assert verdict.acknowledged_count > 100
        assert verdict.unanswered_count == 0
        assert verdict.refusals == {}
        assert verdict.unreported_count == 0
        assert verdict.in_doubt_count <= len(doomed.POINTS) * IN_HAND_MAX
        totals += Counter(
            messages=verdict.acknowledged_count,
            submits=verdict.journalled_count,
            doubts=verdict.in_doubt_count,
        )
    print(f"kills: {kills.total()} at {len(kills)} points, {dict(totals)}")
    assert kills == Counter(dict.fromkeys(doomed.POINTS, ROUND_COUNT))
    assert await battered.audit_ok()


async def _play(stage: Arena, number: int, kills: Counter[str]) -> books.Verdict:
    """Each point once, under load; then dispatchers that live."""
    account = f"Points{number}"
    random = scenario.seeded(account)
    shares = {f"{line}{number}": share for line, share in SHARES.items()}
    stage.apply(_configuration(stage, account, number, PACED_LIMIT))
    url, token = stage.fleet.environment["SLUICE_API_URL"], stage.fleet.token(account)
    first = FIRST_NUMBER + number * NUMBERS_PER_ROUND
    async with load.Client(url, token, random, shares, first) as client:
        stop = asyncio.Event()
        running = asyncio.create_task(_ask(client, random, stop))
        try:
            await _kill_at_each(stage, random, kills)
        finally:
            stop.set()
            await running
            for name in arena.DISPATCHERS:
                stage.fleet.restart(name)
        await stage.fleet.ready(*arena.DISPATCHERS)
        stage.apply(_configuration(stage, account, number, 10_000))
        await _ended(stage, account)
    journal = stage.journal(list(shares))
    stored = await database.book(stage.servers.database_url, account)
    verdict = books.compare(client.book, stored, journal, {})
    print(f"{account}: {verdict}")
    if verdict.lost:
        async with database.connected(stage.servers.database_url) as connection:
            print(*await connection.fetch(_WAITING, account), sep="\n")
        print(*(stage.fleet.log(name, 6000) for name in arena.DISPATCHERS), sep="\n")
    for name in arena.DISPATCHERS if number + 1 < ROUND_COUNT else ():
        await asyncio.to_thread(stage.fleet.stop, name)
    return verdict


def _configuration(stage: Arena, account: str, number: int, per_second: int) -> str:
    paced = fleet.line(account, f"Paced{number}", limits=(10**7, 10**7, 10**7))
    return (
        fleet.account(account, credit="100000", sender=f"Plain{number}")
        + paced.replace("month = ", f"second = {per_second}, month = ")
        + PICKY.format(port=stage.fleet.ports["smpp"], account=account)
    )


async def _ended(stage: Arena, account: str) -> None:
    """Wait until nothing is on its way any more; what still is by then is for the books to find."""
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        found = await database.statuses(stage.servers.database_url, account)
        if not found.keys() & {"queued", "parked", "submitted"}:
            return
        await asyncio.sleep(0.25)


async def _ask(client: load.Client, random: Random, stop: asyncio.Event) -> None:
    """Messages of one, two and three parts, some of them to strange phones."""
    due = time.monotonic()
    while not stop.is_set():
        number = len(client.book)
        wanted = client.wish(text=THREE_PARTS.format(number) if number % 5 == 0 else "")
        if number % 20 == 1 and number < 20_000:
            wanted.recipient = f"+336{number // 20:03d}{random.choice(STRANGE)}"
        client.ask([wanted])
        due += 1 / PER_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await client.answered()


async def _kill_at_each(stage: Arena, random: Random, kills: Counter[str]) -> None:
    names = list(doomed.POINTS)
    random.shuffle(names)
    # It needs that somebody has been dead for long enough.
    names.sort(key="doubt not committed".__eq__)
    left = iter(names)

    async def one_after_the_other() -> None:
        async with _nursery(stage) as nursery:
            for name in left:
                passes = random.randint(1, doomed.POINTS[name].passes_max)
                await _kill_at(stage, nursery, name, passes)
                kills[name] += 1

    async with asyncio.TaskGroup() as runners:
        for _ in range(BESIDE_COUNT):
            runners.create_task(one_after_the_other())


@contextlib.asynccontextmanager
async def _nursery(stage: Arena) -> AsyncIterator[asyncio.subprocess.Process]:
    """Where doomed dispatchers come from, one at a time."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.doomed",
        env={**stage.fleet.environment, "SLUICE_METRICS_PORT": str(free_port())},
        cwd=fleet.ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        # One that is still doomed when a test fails has a group with its nursery.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        await started.wait()


async def _kill_at(
    stage: Arena, nursery: asyncio.subprocess.Process, point: str, passes: int
) -> None:
    """One dispatcher from its start to its end, and what it leaves."""
    assert nursery.stdin
    assert nursery.stdout
    log = stage.fleet.folder / "doomed.log"
    nursery.stdin.write(f"{point}\t{passes}\t{log}\n".encode())
    pid = int(await nursery.stdout.readline())
    try:
        async with asyncio.timeout(DOOM_SECONDS):
            status = int(await nursery.stdout.readline())
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        pytest.fail(f"never came to: {point}; {stage.fleet.log('doomed')}")
    assert status == -signal.SIGKILL, f"{point}: {status}, {stage.fleet.log('doomed')}"
    async with database.connected(stage.servers.database_url) as connection:
        in_hand = [row["count"] for row in await connection.fetch(_IN_HAND)]
    assert max(in_hand, default=0) <= IN_HAND_MAX
