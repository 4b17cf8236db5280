"""Carriers' credentials in `sluice apply`: kept private on the way in, sealed in the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from services.dlr import credentials as keeping
from shared.access.keys import Keys
from shared.access.vault import Vault
from shared.carriers import registry
from tests.integration.commands.sluice import SECRET_KEY, Command

NEW_KEY = "another key that takes its place, of some length".replace(",", "")
CARRIER = """
[[carrier]]
name = "acme"
adapter = "http"
url = "https://me:hunter2-url@api.example/send?key=hunter2-query"
[carrier.headers]
Authorization = "Bearer hunter2-header"
[carrier.secrets]
api = "hunter2-secret"
[[carrier]]
name = "practice"
adapter = "smpp"
host = "127.0.0.1"
port = 2775
system_id = "sluice"
password = "hunter2-password"
"""
PASSWORD = {"host": "127.0.0.1", "port": 2775, "system_id": "sluice"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "operator.toml"
    write(written, CARRIER)
    return written


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text)
    file.chmod(mode)


async def stored(owner: asyncpg.Connection) -> dict[str, dict[str, object]]:
    rows = await owner.fetch("SELECT name, settings FROM carriers")
    return {name: json.loads(text) for name, text in rows}


async def test_credentials_are_sealed_in_the_database_and_shown_nowhere(
    command: Command, owner: asyncpg.Connection, file: Path
) -> None:
    # When a file with every kind of credential is applied, twice, and then with another password
    first = await command("apply", str(file))
    second = await command("apply", str(file))
    write(file, CARRIER.replace("hunter2-password", "hunter2-other"))
    third = await command("apply", str(file))

    # Then nothing shows them, the same ones are no change, and another one is
    assert (first.code, second.code, third.code) == (0, 0, 0), first.errors + second.errors
    assert "nothing to change" in second.output
    assert "password *** → ***" in third.output
    assert "applied 1 changes" in third.output
    found = await stored(owner)
    for told in (first, second, third):
        assert "hunter2" not in told.output + told.errors
    assert "hunter2" not in json.dumps(found)

    # And with the key they are what they were
    registry.use_keys(Keys.read(SECRET_KEY))
    decoded = registry.settings("smpp", found["practice"])
    assert decoded == registry.settings("smpp", PASSWORD | {"password": "hunter2-other"})


@pytest.mark.parametrize("mode", [0o640, 0o604])
async def test_a_file_with_a_credential_that_others_may_read_is_refused(
    command: Command, owner: asyncpg.Connection, file: Path, mode: int
) -> None:
    write(file, CARRIER, mode)
    refused = await command("apply", str(file))
    assert refused.code == 2
    assert f"chmod 600 {file}" in refused.errors
    assert "password of carrier practice" in refused.errors
    assert "hunter2" not in refused.errors
    assert await stored(owner) == {}


async def test_a_file_without_credentials_may_be_read_by_anybody_but_not_what_it_names(
    command: Command, owner: asyncpg.Connection, file: Path, tmp_path: Path
) -> None:
    # Given passwords in a file of their own and in a variable
    password = tmp_path / "password"
    write(password, "hunter2\n", 0o644)
    placed = CARRIER[CARRIER.index('[[carrier]]\nname = "practice"') :].replace(
        'password = "hunter2-password"', f'password_file = "{password}"'
    )
    write(file, placed, 0o644)
    refused = await command("apply", str(file))
    write(password, "hunter2-пароль\n", 0o600)
    useless = await command("apply", str(file))
    write(password, "hunter2\n", 0o400)
    taken = await command("apply", str(file))
    assert (refused.code, useless.code, taken.code) == (2, 2, 0), taken.errors
    assert "password: expected at most 64 printable ASCII characters" in useless.errors
    assert "hunter2" not in useless.errors
    assert f"others may read {password}: chmod 600" in refused.errors
    found = await stored(owner)
    assert found["practice"]["password_file"] == str(password)


async def test_nothing_is_sealed_without_a_key(
    command: Command, owner: asyncpg.Connection, file: Path
) -> None:
    refused = await command.without("SLUICE_SECRET_KEY")("apply", str(file))
    assert refused.code == 2
    assert "SLUICE_SECRET_KEY is not set" in refused.errors
    assert await stored(owner) == {}


async def test_a_profile_stands_under_what_the_file_says(
    command: Command, owner: asyncpg.Connection, file: Path
) -> None:
    mine = '[[carrier]]\nname = "acme"\nadapter = "smpp"\nsystem_id = "me"\npassword = "hunter2"\n'
    write(file, mine + 'profile = "nobody"\n')
    unknown = await command("apply", str(file))
    write(file, mine + 'profile = "8x8"\nport = 2775\n')
    taken = await command("apply", str(file))
    assert (unknown.code, taken.code) == (2, 0), taken.errors
    assert "carrier[0].profile: there is no profile 'nobody'; there are 8x8" in unknown.errors
    found = (await stored(owner))["acme"]
    assert (found["host"], found["port"]) == ("smpp.8x8.com", 2775)
    assert "profile" not in found


@asynccontextmanager
async def swept(services: asyncpg.Pool, keys: str) -> AsyncIterator[None]:
    """dlr's own work beside the body."""
    task = asyncio.create_task(keeping.run(services, Vault(Keys.read(keys))))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await reached():
            await asyncio.sleep(0.05)


async def opens(owner: asyncpg.Connection, key: str) -> bool:
    registry.use_keys(Keys.read(key))
    found: Mapping[str, Mapping[str, object]] = await stored(owner)
    try:
        registry.settings("http", found["acme"])
        registry.settings("smpp", found["practice"])
    except registry.InvalidSettings:
        return False
    return "hunter2" not in json.dumps(found)


async def test_credentials_of_before_are_sealed_and_a_key_that_was_replaced_can_go(
    command: Command, owner: asyncpg.Connection, services: asyncpg.Pool, file: Path
) -> None:
    # Given carriers that were applied before credentials were sealed
    await owner.execute("DELETE FROM schema_migrations WHERE number = 35")
    assert (await command("apply", str(file))).code == 0
    async with swept(services, SECRET_KEY):
        await asyncio.sleep(0.3)
        assert "hunter2-password" in json.dumps(await stored(owner))
    assert "applied 0035" in (await command("migrate")).output

    # When dlr comes to it, then they are sealed
    async with swept(services, SECRET_KEY):
        await until(partial(opens, owner, SECRET_KEY))
    assert not await opens(owner, NEW_KEY)

    # When the key that follows signs, and the old one is believed, then the old one is needed no
    # more, and nobody has to close a link for it
    before = await stored(owner)
    async with swept(services, f"{NEW_KEY},{SECRET_KEY}"):
        await until(partial(opens, owner, NEW_KEY))
    assert not await opens(owner, SECRET_KEY)
    registry.use_keys(Keys.read(f"{NEW_KEY},{SECRET_KEY}"))
    after = await stored(owner)
    assert all(registry.alike(before[name], after[name]) for name in before)
