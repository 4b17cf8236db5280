"""A service that cannot start says why in one sentence, without a secret, and ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from shared.runtime import exits
from tests.integration.starting import roles
from tests.integration.starting.conftest import Site
from tests.servers import as_services, in_database

NOT_LET_IN = "cannot reach PostgreSQL at {place}: it does not let this user in, or has no such"
WITHIN_SECONDS = 20.0


async def refused(
    role: str, folder: Path, environment: Mapping[str, str], code: int, sentence: str
) -> None:
    """Start a service, which must end with this status and sentence."""
    async with roles.started(role, folder, environment) as starting:
        ended = await starting.ended(WITHIN_SECONDS)
        said = starting.said()
    assert (ended, role) == (code, role), said
    assert "Traceback" not in said
    assert roles.SECRET not in said
    [line] = said.splitlines()
    assert sentence in (json.loads(line)["why"] if line.startswith("{") else line)


async def all_refused(
    folder: Path, environment: Mapping[str, str], code: int, sentence: str
) -> None:
    """Start every service that has a database; all must end alike."""
    async with asyncio.TaskGroup() as group:
        for role in roles.WITH_DATABASE:
            group.create_task(refused(role, folder, environment, code, sentence))


async def test_a_wrong_password_ends_it(site: Site, database_url: str, tmp_path: Path) -> None:
    parts = urlsplit(database_url)
    place = parts.netloc.rpartition("@")[2]
    wrong = urlunsplit(parts._replace(netloc=f"{parts.username}:{roles.SECRET}@{place}"))
    environment = site.environment | {"SLUICE_DATABASE_URL": wrong}
    await all_refused(tmp_path, environment, exits.UNREACHABLE, NOT_LET_IN.format(place=place))


async def test_a_database_that_is_not_there_ends_it(
    site: Site, database_url: str, tmp_path: Path
) -> None:
    place = urlsplit(database_url).netloc.rpartition("@")[2]
    environment = site.environment | {"SLUICE_DATABASE_URL": in_database(database_url, "none")}
    await all_refused(tmp_path, environment, exits.UNREACHABLE, NOT_LET_IN.format(place=place))


async def test_a_url_that_is_none_ends_it(site: Site, tmp_path: Path) -> None:
    url = f"postgresql://sluice:{roles.SECRET}@127.0.0.1:port/sluice"
    await all_refused(
        tmp_path,
        site.environment | {"SLUICE_DATABASE_URL": url},
        exits.BAD_INPUT,
        "SLUICE_DATABASE_URL is not a PostgreSQL URL",
    )


async def test_an_empty_database_ends_it(site: Site, database_url: str, tmp_path: Path) -> None:
    await _execute(database_url, "DROP TABLE schema_migrations")
    await all_refused(
        tmp_path, site.environment, exits.FAILED, "the database is empty: run `sluice migrate`"
    )


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM schema_migrations WHERE number = 4", "the database lacks 0004_evidence.sql"),
        (
            "INSERT INTO schema_migrations (number, name, sha256, serves_from)"
            " VALUES (9998, '9998_taken_away.sql', '', 9999)",
            "start a newer version",
        ),
        (
            "REVOKE SELECT ON schema_migrations FROM sluice_services",
            "the database user sluice_services may not read the schema",
        ),
    ],
    ids=["too old", "too new", "not readable"],
)
async def test_a_schema_of_another_version_ends_it(
    site: Site, database_url: str, tmp_path: Path, statement: str, sentence: str
) -> None:
    await _execute(database_url, statement)
    environment = site.environment | {"SLUICE_DATABASE_URL": as_services(database_url)}
    await all_refused(tmp_path, environment, exits.FAILED, sentence)


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("ingest", "SLUICE_INGEST_PORT"),
        ("ingest", "SLUICE_METRICS_PORT"),
        ("dispatcher", "SLUICE_METRICS_PORT"),
        ("dlr", "SLUICE_DLR_PORT"),
        ("webhooks", "SLUICE_METRICS_PORT"),
        ("simulator", "SLUICE_SIMULATOR_SMPP_PORT"),
        ("simulator", "SLUICE_SIMULATOR_HTTP_PORT"),
    ],
)
async def test_a_port_that_is_taken_ends_it(
    site: Site, tmp_path: Path, role: str, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = site.environment | {variable: str(port), "SLUICE_LOG_LEVEL": "ERROR"}
        sentence = f"cannot listen on 127.0.0.1:{port}: Address already in use"
        await refused(role, tmp_path, environment, exits.FAILED, sentence)


@pytest.mark.parametrize(
    ("role", "variable", "text", "sentence"),
    [
        ("ingest", "SLUICE_SECRET_KEY", roles.SECRET, "SLUICE_SECRET_KEY"),
        ("webhooks", "SLUICE_SECRET_KEY", roles.SECRET, "SLUICE_SECRET_KEY"),
        ("dispatcher", "SLUICE_SECRET_KEY", roles.SECRET, "SLUICE_SECRET_KEY"),
        ("dlr", "SLUICE_SECRET_KEY", roles.SECRET, "SLUICE_SECRET_KEY"),
        ("dispatcher", "SLUICE_RESUBMIT_SECONDS", "soon", "SLUICE_RESUBMIT_SECONDS: expected"),
        ("dlr", "SLUICE_AMQP_URL", f"http://a:{roles.SECRET}@b", "SLUICE_AMQP_URL: expected"),
        ("simulator", "SLUICE_SIMULATOR_CUT_SHARE", "1.5", "cut_share: expected"),
        ("simulator", "SLUICE_SIMULATOR_JOURNAL_PATH", "/none/x", "cannot write /none/x: No such"),
    ],
)
async def test_a_bad_setting_ends_it(
    site: Site, tmp_path: Path, role: str, variable: str, text: str, sentence: str
) -> None:
    environment = site.environment | {variable: text}
    await refused(role, tmp_path, environment, exits.BAD_INPUT, sentence)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=10)
