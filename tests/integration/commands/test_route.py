"""`sluice route`: routes as an operator sets them, and what would be chosen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.db import configuration, standings
from shared.rules.standings import CarrierStanding, Condition
from tests.integration.commands.sluice import Command

CARRIERS = "".join(
    f'[[carrier]]\nname = "{name}"\nadapter = "smpp"\nhost = "127.0.0.1"\nport = 1\n'
    f'system_id = "a"\npassword = "hush-hush"\n'
    for name in ("direct", "cheap", "wide")
)
ACCOUNT = """
[[account]]
name = "shop"
currency = "EUR"
[[line]]
account = "shop"
sender = "Shop"
kind = "alphanumeric"
country = "FR"
default = true
"""
ROUTES = """
[[route]]
country = "FR"
carrier = "direct"
priority = 1
weight = 70
[[route]]
country = "FR"
carrier = "cheap"
priority = 2
cost = "0.01"
[[route]]
country = "*"
carrier = "wide"
priority = 1
[[route]]
prefix = "+3360"
carrier = "cheap"
priority = 1
[[route]]
account = "shop"
line = "Shop"
class = "urgent"
country = "FR"
carrier = "cheap"
priority = 1
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url, timeout=10)
    try:
        yield opened
    finally:
        await opened.close(timeout=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "operator.toml"
    written.touch(0o600)
    _write(written, CARRIERS + ACCOUNT + ROUTES)
    return written


def _write(file: Path, text: str) -> None:
    file.write_text(text)


async def explained(command: Command, *arguments: str) -> Any:
    done = await command("route", "explain", *arguments, "--json")
    assert done.code == 0, done.errors
    return json.loads(done.output)


async def test_routes_are_set_listed_explained_and_taken_away(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given routes of all kinds, set twice
    first = await command("apply", str(file))
    assert first.code == 0, first.errors
    assert "+ route FR cheap account=shop line=Shop class=urgent" in first.output
    again = await command("apply", str(file))
    assert "nothing to change" in again.output
    # The release before goes by those that name a country alone
    current = await configuration.load(connection)
    assert current.routes == {"*": (3,), "FR": (1, 2)}
    # Then they are listed, what names the most first
    listed = json.loads((await command("route", "list", "--json")).output)
    assert [(each["carrier"], each["country"]) for each in listed] == [
        ("cheap", "FR"),
        ("cheap", "*"),
        ("direct", "FR"),
        ("cheap", "FR"),
        ("wide", "*"),
    ]
    # And each message goes where it should
    plain = await explained(command, "--to", "+33612345678", "--line", "shop/Shop")
    assert (plain["country"], plain["carrier"], plain["well"]) == ("FR", "direct", True)
    assert [each["verdict"] for each in plain["carriers"]] == [
        "chosen",
        "a route before it was taken",
        "a route before it was taken",
    ]
    urgent = ("--to", "+33612345678", "--line", "Shop", "--class", "urgent")
    assert (await explained(command, *urgent))["carrier"] == "cheap"
    assert (await explained(command, "--to", "+33601234567"))["carrier"] == "cheap"
    assert (await explained(command, "--to", "+4915112345678"))["carrier"] == "wide"
    # When a carrier is sick, Then it says so, and who is next
    sick = CarrierStanding(Condition.SICK, 0.0, 1e9, 10.0, "60 of 60 segments failed")
    async with connection.transaction():
        await standings.change(connection, {(1, "FR"): sick})
    told = await explained(command, "--to", "+33612345678")
    assert told["carrier"] == "cheap"
    assert told["carriers"][0] == {
        "carrier": "direct",
        "verdict": "the carrier is sick",
        "cause": "60 of 60 segments failed",
    }
    fares = json.loads((await command("route", "health", "--json")).output)
    assert [(each["carrier"], each["country"], each["condition"]) for each in fares] == [
        ("direct", "*", "well"),
        ("direct", "FR", "sick"),
        ("cheap", "*", "well"),
        ("wide", "*", "well"),
    ]
    for words in (("list",), ("explain", "--to", "+33612345678")):
        shown = await command("route", *words)
        assert shown.code == 0, shown.errors
        assert "cheap" in shown.output
        assert "33612345678" not in shown.output
    # When the file names France without them, Then they are gone
    _write(file, '[[route]]\ncountry = "FR"\ncarrier = "wide"\npriority = 1\n')
    ended = await command("apply", str(file))
    assert "- route FR cheap account=shop line=Shop class=urgent" in ended.output
    current = await configuration.load(connection)
    assert current.routes == {"*": (3,), "FR": (3,)}
    assert [each.prefix for (each,) in current.routes_to("DE")] == ["+3360", ""]


BAD = {
    'carrier = "wide"\npriority = 1': "route[0].country: is missing",
    'carrier = "wide"\npriority = 1\nline = "Shop"': "route[1].account: is missing",
    'carrier = "wide"\npriority = 1\naccount = "shop"\nline = "Nobody"': (
        "route[2].line: account 'shop' has no line 'Nobody'"
    ),
    'carrier = "wide"\npriority = 1\nprefix = "33"': "route[3].prefix",
    'carrier = "wide"\npriority = 1\nnetwork = "208"': "route[4].network",
    'carrier = "wide"\npriority = 1\ncountry = "FR"\nweight = 0': "route[5].weight",
    'carrier = "wide"\npriority = 1\nclass = "slow"': "route[6].class",
    'carrier = "none"\npriority = 1\nprefix = "+33"': "there is no carrier 'none'",
}


async def test_routes_that_mean_nothing_are_refused(command: Command, file: Path) -> None:
    _write(file, CARRIERS + ACCOUNT + "".join(f"[[route]]\n{route}\n" for route in BAD))
    done = await command("apply", str(file))
    assert done.code == 2
    assert [sentence for sentence in BAD.values() if sentence not in done.errors] == []


async def test_what_cannot_be_explained_is_told_in_a_sentence(command: Command, file: Path) -> None:
    await command("apply", str(file))
    for arguments, sentence in (
        (("--to", "+33612345678", "--line", "None"), "LINE: expected"),
        (("--to", "+33612345678", "--account", "none"), "there is no account 'none'"),
    ):
        done = await command("route", "explain", *arguments)
        assert done.code == 2
        assert sentence in done.errors
