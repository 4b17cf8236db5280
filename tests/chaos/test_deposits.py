"""Random deposits, events, messages, refunds and switches of currency by 16 processes that are
killed while they do them: the books agree with each other, and with the provider's."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from deploy.local.servers import Servers
from services.ingest.settling import Settler
from services.simulator import options, simulator
from shared.db import apply, audit, migrate, pool
from shared.payments import registry
from shared.payments.contract import ProviderMeans
from tests.chaos import money_walkers
from tests.chaos.arena import Arena
from tests.fleet import ROOT
from tests.integration.invoices import seller
from tests.ports import free_port
from tests.servers import as_services, in_database

OPERATION_COUNT = int(os.environ.get("SLUICE_TEST_MONEY_OPERATIONS", "600"))
PROCESS_COUNT = 16
SEED = int(os.environ.get("SLUICE_TEST_SEED", "29"))
SECONDS = 3_000.0


@pytest.fixture
def money_servers(standing_arena: Arena) -> Servers:
    """Servers that stand anyhow; the test has a database of its own."""
    return standing_arena.servers


async def test_m31_money_agrees_with_the_provider_after_kills(
    money_servers: Servers, tmp_path: Path
) -> None:
    keeper = await asyncpg.connect(money_servers.database_url, timeout=10)
    name = f"money_{uuid.uuid4().hex}"
    await keeper.execute(f'CREATE DATABASE "{name}"')
    # Clients are killed here, and the server never: it need not wait for its disk.
    await keeper.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    url = in_database(money_servers.database_url, name)
    port = free_port()
    provider = await simulator.serve(options.Options(http_port=port))
    try:
        owner = await asyncpg.connect(url, timeout=10)
        await _furnish(owner)
        # When 16 processes do random things and one after the other is killed
        said = await _walked(as_services(url), f"http://127.0.0.1:{port}", tmp_path)
        print(f"\n{said}")
        # And whoever lives looks at what the dead had begun
        await owner.execute("UPDATE deposits SET look_at = now() WHERE look_at IS NOT NULL")
        await _swept(as_services(url), f"http://127.0.0.1:{port}")
        # Then the audit finds nothing
        found = await audit.examine(owner)
        assert {each.check.name: each.rows for each in found if each.is_breach} == {}
        # And what the provider has charged is what was credited, each payment once
        await _compare(owner, provider)
        await owner.close()
    finally:
        await provider.close()
        await keeper.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await keeper.close()


async def _furnish(owner: asyncpg.Connection) -> None:
    await migrate.migrate(owner)
    await seller.open_shop(owner)
    await apply.put(owner, apply.Carrier("practice", "smpp", 0, {}), None)
    for number in money_walkers.ACCOUNTS:
        await apply.put(owner, apply.Account(f"account {number}", "EUR", 10**9, 60), None)
        line = (f"account {number}", "Sluice", "alphanumeric", "FR", True)
        await apply.put(owner, apply.Line(*line, 10**8, 10**8, 10**8), None)


async def _walked(database_url: str, provider_url: str, folder: Path) -> str:
    journal = folder / "journal"
    journal.touch()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.money_walkers", database_url, provider_url),
        *map(str, (SEED, OPERATION_COUNT, PROCESS_COUNT, journal)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, errors.decode()[-2000:]
    return said.decode().strip()


async def _swept(database_url: str, provider_url: str) -> None:
    database = await pool.open_pool(database_url, "test", 10)
    means = ProviderMeans(
        money_walkers.API_KEY, ("whsec",), f"{provider_url}/payments", "https://x/"
    )
    adapter = registry.open_provider("stripe", means)
    try:
        await Settler(database, adapter, timedelta(hours=48), lambda: asyncio.sleep(0)).sweep()
    finally:
        await adapter.close()
        await pool.close_pool(database)


async def _compare(owner: asyncpg.Connection, provider: simulator.Simulator) -> None:
    rows = await owner.fetch("SELECT deposit_id, state, credited_micro, currency FROM deposits")
    credited = {str(row["deposit_id"]): row for row in rows if row["state"] == "credited"}
    charged = {
        each.reference: each
        for each in provider.payment_books.payments.values()
        if each.charge_count
    }
    assert {each.charge_count for each in charged.values()} <= {1}
    assert credited.keys() == charged.keys()
    for reference, payment in charged.items():
        row = credited[reference]
        assert (row["credited_micro"], row["currency"]) == (
            payment.received * 10_000,
            payment.currency.upper(),
        )
    states = {row["state"] for row in rows}
    assert {"credited", "failed", "ordered"} <= states
    print(f"{len(charged)} of {len(rows)} deposits charged and credited; {sorted(states)}")
