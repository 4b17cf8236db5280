"""A service whose server is away waits for it or does without, and stops within seconds."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from shared.db import pool
from shared.runtime import exits
from tests.integration.starting import roles
from tests.integration.starting.conftest import Site

STOP_SECONDS = 10.0

WITHOUT_BROKER = {
    "ingest": "",
    "dispatcher": "the broker does not answer",
    "dlr": "no receipts can be taken from the broker",
}


@pytest.mark.parametrize("role", roles.WITH_DATABASE)
async def test_it_waits_for_postgresql(site: Site, tmp_path: Path, role: str) -> None:
    # Given no PostgreSQL
    site.postgres.shut()
    async with roles.started(role, tmp_path, site.environment) as starting:
        assert "error" in await starting.says("waiting_for_postgresql")
        assert await starting.readiness() is None
        # When it comes
        site.postgres.reopen()
        # Then the service starts, and stops cleanly
        await starting.becomes("")
        starting.stop()
        assert await starting.ended(STOP_SECONDS) == exits.OK


@pytest.mark.parametrize("role", roles.WITH_DATABASE)
async def test_a_stop_ends_the_waiting(site: Site, tmp_path: Path, role: str) -> None:
    site.postgres.shut()
    async with roles.started(role, tmp_path, site.environment) as starting:
        await starting.says("waiting_for_postgresql")
        starting.stop()
        assert await starting.ended(STOP_SECONDS) == exits.OK
        assert starting.events()[-1]["event"] == "stopped"


@pytest.mark.parametrize("role", roles.WITH_DATABASE)
async def test_a_stop_ends_the_waiting_for_a_postgresql_that_is_silent(
    site: Site, tmp_path: Path, role: str, silent_url: str
) -> None:
    environment = site.environment | {"SLUICE_DATABASE_URL": silent_url}
    async with roles.started(role, tmp_path, environment) as starting:
        await starting.says("waiting_for_postgresql")
        starting.stop()
        assert await starting.ended(STOP_SECONDS) == exits.OK


async def test_the_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "START_SECONDS", 1.0)
    url = f"postgresql://sluice:{roles.SECRET}@127.0.0.1:1/sluice"
    with pytest.raises(exits.NotDone) as caught:
        await pool.open_pool(url, "test", 2)
    assert caught.value.code == exits.UNREACHABLE
    assert str(caught.value) == "cannot reach PostgreSQL at 127.0.0.1:1: nothing listens there"


@pytest.mark.parametrize(("role", "missing"), WITHOUT_BROKER.items())
async def test_it_starts_without_rabbitmq(
    site: Site, tmp_path: Path, role: str, missing: str
) -> None:
    # Given no RabbitMQ
    site.rabbit.shut()
    async with roles.started(role, tmp_path, site.environment) as starting:
        # Then the service runs, and says what it cannot do
        await starting.becomes(missing)
        # When it comes, then nothing is missing
        site.rabbit.reopen()
        await starting.says("broker_link_up")
        await starting.becomes("")
        starting.stop()
        assert await starting.ended(STOP_SECONDS) == exits.OK


@pytest.mark.parametrize("role", WITHOUT_BROKER)
async def test_it_stops_without_rabbitmq(site: Site, tmp_path: Path, role: str) -> None:
    site.rabbit.shut()
    async with roles.started(role, tmp_path, site.environment) as starting:
        await starting.becomes(WITHOUT_BROKER[role])
        starting.stop()
        assert await starting.ended(STOP_SECONDS) == exits.OK


@pytest.mark.parametrize("role", ["ingest", "dispatcher"])
async def test_it_starts_and_stops_without_redis(site: Site, tmp_path: Path, role: str) -> None:
    site.redis.shut()
    async with roles.started(role, tmp_path, site.environment) as starting:
        await starting.becomes("")
        starting.stop()
        assert await starting.ended(STOP_SECONDS) == exits.OK


async def test_a_dispatcher_that_could_not_start_is_no_worker(
    site: Site, tmp_path: Path, database_url: str
) -> None:
    """Nobody must wait for its silence to decide about what it never claimed."""
    site.rabbit.shut()
    async with roles.started("dispatcher", tmp_path, site.environment) as starting:
        await starting.becomes(WITHOUT_BROKER["dispatcher"])
        starting.stop()
        await starting.ended(STOP_SECONDS)
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        assert await connection.fetchval("SELECT count(*) FROM workers") == 0
    finally:
        await connection.close(timeout=10)
