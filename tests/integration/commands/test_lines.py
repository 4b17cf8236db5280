"""Lines and their limits, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest

from tests.integration.commands.sluice import Command

OPERATOR = """
[[account]]
name = "demo"
currency = "EUR"
[[line]]
account = "demo"
sender = "+12025550123"
kind = "long_code"
country = "US"
[[line]]
account = "demo"
sender = "Sluice"
kind = "alphanumeric"
country = "FR"
[[country_limit]]
country = "FR"
limits = { day = 7 }
"""
LINE = "demo/+12025550123"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
async def file(command: Command, tmp_path: Path) -> Path:
    """An operator's file, applied."""
    written = write(tmp_path / "operator.toml", OPERATOR)
    assert (await command("apply", str(written))).code == 0
    return written


async def shown(command: Command, line: str = LINE) -> dict[str, object]:
    found = await command("line", "show", line, "--json")
    assert found.code == 0, found.errors
    return dict(json.loads(found.output))


async def version(database_url: str) -> int:
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        return int(await connection.fetchval("SELECT version FROM configuration_version"))
    finally:
        await connection.close(timeout=10)


async def test_a07_a_line_is_changed_once_and_the_next_message_knows(
    command: Command, file: Path, database_url: str
) -> None:
    # Given a line, When an operator registers it and writes down what it is for, twice
    before = await version(database_url)
    change = (
        *("line", "set", LINE, "--registration", "approved", "--brand", "B1", "--campaign", "C1"),
        *("--registered-until", "2030-12-31", "--use-case", "reminders", "--purpose", "automated"),
        *("--capability", "sms", "--capability", "mms"),
    )
    first, second = await command(*change), await command(*change)

    # Then it says what changed, processes are told once, and the second time changes nothing
    assert first.output == (
        "~ line demo +12025550123: capabilities sms → sms mms, registration none → approved,"
        " brand none → B1, campaign none → C1, registered_until none → 2030-12-31,"
        " use_case none → reminders, purpose none → automated\n"
    )
    assert second.output == "nothing to change (1 entries as they should be)\n"
    assert await version(database_url) == before + 1
    found = await shown(command)
    assert found["registration"] == {
        "state": "approved",
        "kind": "10dlc",
        "brand": "B1",
        "campaign": "C1",
        "from": None,
        "until": "2030-12-31",
    }
    assert (found["use_case"], found["purpose"]) == ("reminders", "automated")
    assert (found["capabilities"], found["account"]) == (["sms", "mms"], "demo")
    # And by its id it is the same; people read the same
    assert await shown(command, str(found["id"])) == found
    assert "registration campaign C1\n" in (await command("line", "show", LINE)).output


async def test_a_file_that_does_not_name_a_mode_leaves_it_and_one_that_does_sets_it(
    command: Command, file: Path
) -> None:
    # Given a line that was put into API mode
    assert (await command("line", "set", LINE, "--mode", "api")).code == 0
    # When the file is applied again, Then the line keeps it
    assert "nothing to change" in (await command("apply", str(file))).output
    assert (await shown(command))["mode"] == "api"
    # When the file names it, Then it is as the file says
    named = OPERATOR.replace('country = "US"\n', 'country = "US"\nmode = "application"\n')
    other = write(file.with_name("named.toml"), named)
    assert "mode api → application" in (await command("apply", str(other))).output


async def test_bad_input_is_named_and_changes_nothing(
    command: Command, file: Path, database_url: str
) -> None:
    before = await version(database_url)
    for arguments, said in (
        ((LINE,), "name what is to change"),
        ((LINE, "--mode", "app"), f"{LINE}.mode: Invalid enum value 'app'"),
        ((LINE, "--registered-from", "soon"), f"{LINE}.registration.from: Invalid RFC3339"),
        (("demo/Nobody", "--name", "x"), "there is no line 'demo/Nobody'"),
        (("Sluice", "--name", "x"), "LINE: expected an id, or ACCOUNT/SENDER"),
    ):
        ended = await command("line", "set", *arguments)
        assert (ended.code, said in ended.errors) == (2, True), ended.errors
    assert await version(database_url) == before


async def test_lines_of_one_account_or_of_all_are_listed(command: Command, file: Path) -> None:
    every = json.loads((await command("line", "list", "--all", "--json")).output)
    assert [line["sender"] for line in every] == ["+12025550123", "Sluice"]
    told = (await command("line", "list", "demo")).output
    assert "+12025550123" in told
    assert "long_code" in told
    assert (await command("line", "list")).code == 2


async def test_an_operator_sees_every_limit_that_a_line_meets(
    command: Command, file: Path, database_url: str
) -> None:
    # Given a line that has sent two segments to a country with a limit for all
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        await connection.execute(
            "INSERT INTO limit_usage (scope, minute, worker_id, segment_count)"
            " SELECT scope, extract(epoch FROM now()) / 60, gen_random_uuid(), 2"
            " FROM unnest(ARRAY['line:2', 'country:FR']) AS scope"
        )
    finally:
        await connection.close(timeout=10)

    # When its limits are shown without a limiter, Then the records say what is used
    found = json.loads((await command("limits", "show", "demo/Sluice", "--json")).output)
    assert [(each["scope"], each["country"], each["source"]) for each in found["limits"]] == [
        ("line", None, "records"),
        ("country", "FR", "records"),
    ]
    assert [window["left"] for window in found["limits"][0]["windows"]] == [498, 1_998, 19_998]
    assert [window["left"] for window in found["limits"][1]["windows"]] == [None, 5, None]
    told = (await command("limits", "show", "demo/Sluice")).output
    assert "country FR" in told
    assert "19,998" in told
