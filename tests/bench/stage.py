"""Everything a run needs: a fleet at work on durable servers, an account, and the meters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from deploy.local.servers import Servers
from tests import fleet
from tests.bench import contender, crowd, delivered, journal, meters, orders
from tests.ports import free_port

ACCOUNT = "bench"
BINDS = 2
WINDOW = 500
ROLES = ("simulator", "dlr", "dispatcher", "ingest")
_CONNECT_SECONDS = 10.0
_WAL_BYTES = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"


@dataclass(frozen=True, slots=True)
class Crew:
    """How many processes of each role, and for each role that is sampled the file to hold it."""

    counts: Mapping[str, int]
    samples: Mapping[str, Path]
    receipt_ms: int
    """How long the carrier waits with a receipt."""
    account_count: int = 1
    line_count: int = 0
    """Of each account, beside its default one."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A Sluice that is ready, and what watches it: a `contender.Contender`."""

    fleet: fleet.Fleet
    database: asyncpg.Connection
    meters: meters.Meters
    journal: journal.Journal
    delivered: delivered.Delivered
    tokens: list[str] = field(repr=False)
    """One of each account."""
    line_count: int
    """Of each account, beside its default one."""
    api_ports: list[int]

    @property
    def folder(self) -> Path:
        """For files of a run."""
        return self.fleet.folder

    def order(self, load: contender.Load, first: int, count: int) -> orders.Order:
        """By the native API, as the account of this stage."""
        return orders.Order(
            ports=self.api_ports,
            tokens=self.tokens,
            first=first,
            count=count,
            batch_size=load.batch_size,
            connections=load.connections,
            tally_path=str(self.folder / "tally.json"),
            per_second=load.per_second,
            line_count=self.line_count,
            face=load.face,
        )

    async def begin(self) -> None:
        """What was before does not count."""
        self.delivered.begin()

    async def receipt_count(self) -> int:
        """Messages delivered since `begin`."""
        return await self.delivered.count()

    async def wal_bytes(self) -> int:
        """What PostgreSQL has written ahead since it was made."""
        return int(await self.database.fetchval(_WAL_BYTES))

    async def prove(self, count: int) -> None:
        """Exactly so many messages came since `begin`, all delivered. Raises NotProved."""
        await self.delivered.prove(count)


@asynccontextmanager
async def built(servers: Servers, folder: Path, crew: Crew) -> AsyncIterator[Stage]:
    """Start the fleet, load the configuration, and tear all of it down in the end."""
    with fleet.fleet(servers, folder) as sluice:
        accounts = [f"{ACCOUNT}-{number}" for number in range(crew.account_count)]
        configuration = "".join(fleet.account(name, credit="10000000") for name in accounts)
        sluice.apply(configuration, binds=BINDS, window=WINDOW)
        tokens = await crowd.enter(sluice, servers.database_url, accounts, crew.line_count)
        names, api_ports = _start(sluice, crew)
        await sluice.ready(*(name for each in names.values() for name in each))
        pids = {role: [sluice.pid(name) for name in each] for role, each in names.items()}
        database = await asyncpg.connect(servers.database_url, timeout=_CONNECT_SECONDS)
        followed = journal.Journal(sluice.journal_path)
        try:
            watched = meters.Meters(pids | await asyncio.to_thread(_server_pids, servers))
            counted = delivered.Delivered(database)
            yield Stage(
                sluice,
                database,
                watched,
                followed,
                counted,
                tokens,
                crew.line_count,
                api_ports,
            )
        finally:
            followed.close()
            await database.close(timeout=_CONNECT_SECONDS)


def _start(sluice: fleet.Fleet, crew: Crew) -> tuple[dict[str, list[str]], list[int]]:
    names: dict[str, list[str]] = {}
    api_ports = []
    for role in ROLES:
        names[role] = []
        for number in range(crew.counts.get(role, 1)):
            name = role if number == 0 else f"{role}-{number + 1}"
            sluice.start(role, name, **_environment(sluice, crew, role, number))
            names[role].append(name)
            if role == "ingest":
                api_ports.append(sluice.ports[role])
    return names, api_ports


def _environment(sluice: fleet.Fleet, crew: Crew, role: str, number: int) -> dict[str, str]:
    chosen = {}
    if role == "simulator":
        chosen["SLUICE_SIMULATOR_RECEIPT_MIN_MS"] = str(crew.receipt_ms)
        chosen["SLUICE_SIMULATOR_RECEIPT_MAX_MS"] = str(crew.receipt_ms)
        # Whoever knows the password: a rival binds as somebody else.
        chosen["SLUICE_SIMULATOR_SYSTEM_ID"] = ""
    if number and role in ("ingest", "dlr"):
        # Each process listens on a port of its own; the fleet asks there whether it is ready.
        sluice.ports[role] = free_port()
        chosen[f"SLUICE_{role.upper()}_PORT"] = str(sluice.ports[role])
    if role in crew.samples and number == 0:
        chosen["PYTHONPATH"] = str(Path(__file__).with_name("sampling"))
        chosen["SLUICE_BENCH_SAMPLES"] = str(crew.samples[role])
    return chosen


def _server_pids(servers: Servers) -> dict[str, list[int]]:
    urls = {
        "PostgreSQL": servers.database_url,
        "RabbitMQ": servers.amqp_url,
        "Redis": servers.redis_url,
    }
    return {name: [meters.listener(urlsplit(url).port or 0)] for name, url in urls.items()}
