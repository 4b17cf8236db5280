"""A roll-out: the last release works on while this tree migrates its database and takes over."""

from __future__ import annotations

import asyncio
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from deploy.local.servers import Servers
from tests import fleet, servers
from tests.chaos import arena, books, database, load, scenario

RELEASE = Path(__file__).parents[1] / "releases" / "0.1.0.zip"
ROLES = ("dlr", "dispatcher", "ingest")
ACCOUNT = "shop"
CONTRACTS = (
    "0008_long_references.sql",
    "0010_segments_at_rest.sql",
    "0014_pages_only.sql",
    "0024_seals_texts.sql",
    "0032_statistics_of_before.sql",
    "0035_carrier_credentials.sql",
    "0037_reroutes.sql",
    "0041_ready_by_lane_only.sql",
    "0044_day_in_wallets_only.sql",
    "0047_events_numbered_later.sql",
)
PER_SECOND = 40.0
STEP_COUNT = 50
"""Messages that each stage of the roll-out must accept and see delivered before the next."""
STEP_SECONDS = 60.0


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Servers]:
    """Servers that have seen nothing but the last release."""
    with servers.throwaway() as started:
        yield started


@pytest.fixture
def last(private: Servers, tmp_path: Path) -> Iterator[fleet.Fleet]:
    """The last release, on the schema it was written for."""
    with zipfile.ZipFile(RELEASE) as packed:
        packed.extractall(tmp_path / "release")
    folder = tmp_path / "last"
    folder.mkdir()
    built = fleet.Fleet(private, folder, tmp_path / "release")
    # It knows one user of the database only.
    built.environment["SLUICE_DATABASE_URL"] = private.database_url
    built.environment.update(scenario.SIMULATOR)
    built.sluice("migrate")
    try:
        yield built
    finally:
        built.close()


@pytest.fixture
def this(private: Servers, last: fleet.Fleet, tmp_path: Path) -> Iterator[fleet.Fleet]:
    """This tree on the same servers and the same carrier; nothing is migrated or started yet."""
    folder = tmp_path / "this"
    folder.mkdir()
    built = fleet.Fleet(private, folder)
    built.journal_path = last.journal_path
    try:
        yield built
    finally:
        built.close()


async def test_nothing_is_lost_or_doubled_when_this_version_takes_over_under_load(
    private: Servers, last: fleet.Fleet, this: fleet.Fleet
) -> None:
    # Given the last release at work, with two producers.
    last.apply(fleet.account(ACCOUNT, credit="100000", sender=ACCOUNT, is_known_of_old=True))
    await last.start_all(("simulator", *ROLES))
    old_url, new_url = (each.environment["SLUICE_API_URL"] for each in (last, this))
    token = last.token(ACCOUNT)
    stop = asyncio.Event()
    async with (
        load.Client(old_url, token, Random(1), {ACCOUNT: 1}, 0, 0.0) as loyal,
        load.Client(old_url, token, Random(2), {ACCOUNT: 1}, 100_000, 0.0) as early,
    ):
        running = [asyncio.create_task(each.run(PER_SECOND, stop)) for each in (loyal, early)]
        try:
            await more(private, loyal, early)
            # When the database is migrated, Then the old processes work on.
            migrated = await asyncio.to_thread(this.sluice, "migrate")
            assert "applied 0002_roles.sql" in migrated.stdout
            for contract in CONTRACTS:
                assert f"{contract} waits for older processes" in migrated.stdout
            await more(private, loyal, early)
            assert last.ended() == []
            # When new processes start beside them, Then both versions work.
            for role in ROLES:
                this.start(role)
            await this.ready(*ROLES)
            early.url = new_url
            await more(private, loyal, early)
            assert last.ended() == []
            # And an old one can read every credential there is.
            assert " clear" in (await asyncio.to_thread(this.sluice, "carrier", "list")).stdout
            # When the old ones are stopped, Then they end well and the new ones do it all.
            loyal.url = new_url
            for role in reversed(ROLES):
                assert await asyncio.to_thread(last.retire, role) == 0, last.log(role)
            await more(private, loyal, early)
        finally:
            stop.set()
            await asyncio.gather(*running)
        # Then nothing waits for old processes any more, and every message was delivered once.
        done = await asyncio.to_thread(this.sluice, "migrate")
        assert done.stdout.splitlines() == [f"applied {contract}" for contract in CONTRACTS]
        stage = arena.Arena(this, private)
        await scenario.rest(stage, ACCOUNT)
        wishes = loyal.book + early.book
        stored = await database.book(private.database_url, ACCOUNT)
        verdict = books.compare(wishes, stored, stage.journal([ACCOUNT]), {})
        print(verdict)
        assert verdict.faults == {}
        assert verdict.acknowledged_count == len(wishes)
        assert verdict.in_doubt_count == verdict.unreported_count == 0
        assert dict(loyal.strange + early.strange) == {}
        assert await database.statuses(private.database_url, ACCOUNT) == {"delivered": len(wishes)}
        assert await stage.audit_ok()


async def more(private: Servers, *clients: load.Client) -> None:
    """Wait until each client has more answers, and until more has been delivered."""
    deadline = time.monotonic() + STEP_SECONDS
    answered = [_answered(client) + STEP_COUNT for client in clients]
    delivered = await _delivered(private) + STEP_COUNT
    while (
        any(_answered(client) < wanted for client, wanted in zip(clients, answered, strict=True))
        or await _delivered(private) < delivered
    ):
        assert time.monotonic() < deadline, "nothing happens any more"
        await asyncio.sleep(0.1)


def _answered(client: load.Client) -> int:
    return sum(wish.message_id is not None for wish in client.book)


async def _delivered(private: Servers) -> int:
    return (await database.statuses(private.database_url, ACCOUNT)).get("delivered", 0)
