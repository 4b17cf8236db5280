"""`sluice apply` on a real database: judged first, shown first, written once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.db import configuration
from shared.rules.lines import Limits
from tests.integration.commands.sluice import Command

OPERATOR = """
[[account]]
name = "demo"
currency = "EUR"
credit = "10"
[[line]]
account = "demo"
sender = "Sluice"
kind = "alphanumeric"
country = "FR"
default = true
[[price]]
country = "FR"
currency = "EUR"
amount = "0.0453"
[[carrier]]
name = "practice"
adapter = "smpp"
host = "127.0.0.1"
port = 2775
system_id = "sluice"
password = "hush-hush"
[[route]]
country = "*"
carrier = "practice"
priority = 1
[[route]]
country = "FR"
carrier = "practice"
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
    written.write_text(OPERATOR)
    return written


async def test_the_file_is_in_force_after_one_run_and_the_second_changes_nothing(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given an empty database, When the file is applied twice
    first = await command("apply", str(file))
    after_first = await configuration.version(connection)
    second = await command("apply", str(file))

    # Then it is in force, credited once, and running processes were told once
    assert (first.code, second.code) == (0, 0), first.errors + second.errors
    assert "+ account demo" in first.output
    assert "nothing to change" in second.output
    assert "hush-hush" not in first.output
    current = await configuration.load(connection)
    assert current.version == after_first == 2
    default = current.lines.default_of(1)
    assert default is not None
    assert default.limits == Limits(500, 2_000, 20_000)
    assert current.prices == {("FR", "EUR"): 45_300}
    assert current.carriers[1].settings["system_id"] == "sluice"
    assert current.routes == {"*": (1,), "FR": (1,)}
    assert await connection.fetchval("SELECT account_id FROM event_heads") == 1
    assert await _balances(connection) == {"EUR": 10_000_000}


async def test_lines_of_one_number_may_exchange_their_keywords(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given two accounts that share a number, each with a word of its own
    shared = "".join(
        f'[[account]]\nname = "{account}"\ncurrency = "EUR"\n'
        f'[[line]]\naccount = "{account}"\nsender = "36180"\nkind = "short_code"\n'
        f'country = "FR"\nkeyword = "{word}"\n'
        for account, word in (("a", "JOIN"), ("b", "win"))
    )
    _write(file, shared)
    first = await command("apply", str(file))
    assert first.code == 0, first.errors
    # When they exchange them
    _write(file, shared.replace("JOIN", "WIN").replace("win", "JOIN"))
    second = await command("apply", str(file))
    # Then that is shown and done, and the same word for both is not
    assert second.code == 0, second.errors
    assert "~ line a 36180: keyword JOIN → WIN" in second.output
    words = await connection.fetch("SELECT keyword FROM lines ORDER BY account_id")
    assert [row[0] for row in words] == ["WIN", "JOIN"]
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("UPDATE lines SET keyword = 'JOIN'")


async def test_nothing_is_written_when_it_is_a_dry_run(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    ended = await command("apply", str(file), "--dry-run")
    assert ended.code == 0
    assert "+ account demo" in ended.output
    assert await configuration.version(connection) == 1
    assert await connection.fetchval("SELECT count(*) FROM accounts") == 0


async def test_nothing_is_written_when_anything_is_wrong(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given a file with two faults after much that is right
    _write(file, OPERATOR + '[[price]]\ncountry = "DE"\ncurrency = "DEM"\namount = "x"\n')

    # When it is applied
    ended = await command("apply", str(file))

    # Then both are named in a line each, and nothing was touched
    assert ended.code == 2
    assert ended.errors.count("\n") == 2
    assert "price[1].currency: " in ended.errors
    assert await connection.fetchval("SELECT count(*) FROM accounts") == 0


async def test_an_account_gets_another_wallet_when_its_currency_changes(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given an account with 10 EUR
    await command("apply", str(file))

    # When its currency becomes USD, with a larger credit
    _write(file, '[[account]]\nname = "demo"\ncurrency = "USD"\ncredit = 15\n')
    ended = await command("apply", str(file))

    # Then the old balance stays, and what the file did not name is still there
    assert ended.code == 0, ended.errors
    assert await _balances(connection) == {"EUR": 10_000_000, "USD": 15_000_000}
    assert len((await configuration.load(connection)).lines) == 1


async def test_special_numbers_are_opened_to_an_account_at_their_own_price(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given an account and a usual price in force
    await command("apply", str(file))
    assert "special numbers       refused" in (await command("account", "show", "demo")).output

    # When special numbers are opened to it, at a price beside the usual one
    opened = OPERATOR.replace('credit = "10"', "special_numbers = true")
    special = '[[price]]\ncountry = "FR"\ncurrency = "EUR"\namount = "2.5"\nkind = "special"\n'
    _write(file, opened + special)
    ended = await command("apply", str(file))

    # Then the difference says so, and both prices are in force
    assert ended.code == 0, ended.errors
    assert "~ account demo: special_numbers False → True" in ended.output
    assert "+ price FR EUR special: amount 2.50" in ended.output
    current = await configuration.load(connection)
    assert current.accounts[1].special_numbers
    assert current.prices == {("FR", "EUR"): 45_300}
    assert current.special_prices == {("FR", "EUR"): 2_500_000}

    # And whoever looks at the account is told
    assert "special numbers       allowed" in (await command("account", "show", "demo")).output

    # And the release before still reads every usual price, and no other
    rows = await connection.fetch("SELECT country, currency, amount_micro FROM prices")
    assert [tuple(row) for row in rows] == [("FR", "EUR", 45_300)]


async def test_the_default_moves_and_routes_are_replaced(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    # Given a configuration in force
    await command("apply", str(file))

    # When another line becomes the default, and France is routed to another carrier
    carrier = OPERATOR[OPERATOR.index("[[carrier]]") : OPERATOR.index("[[route]]")]
    _write(
        file,
        carrier.replace('"practice"', '"better"')
        + '[[route]]\ncountry = "FR"\ncarrier = "better"\npriority = 5\n'
        + '[[line]]\naccount = "demo"\nsender = "Other"\nkind = "alphanumeric"\ncountry = "US"\n'
        + "default = true\n",
    )
    ended = await command("apply", str(file))

    # Then only France has another route, and there is one default
    assert ended.code == 0, ended.errors
    current = await configuration.load(connection)
    assert current.routes == {"*": (1,), "FR": (2,)}
    default = current.lines.default_of(1)
    assert default is not None
    assert default.sender == "Other"
    assert default.limits == Limits(1_000, 10_000, 50_000)


async def test_credit_is_given_once_when_two_apply_at_the_same_time(
    command: Command, connection: asyncpg.Connection, file: Path
) -> None:
    ended = await asyncio.gather(*(command("apply", str(file)) for _ in range(3)))
    assert [each.code for each in ended] == [0, 0, 0]
    assert sorted("nothing to change" in each.output for each in ended) == [False, True, True]
    assert await _balances(connection) == {"EUR": 10_000_000}


def _write(file: Path, text: str) -> None:
    file.write_text(text)


async def _balances(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch(
        "SELECT currency, balance_micro FROM wallets WHERE account_id = 1 ORDER BY currency"
    )
    return {row["currency"]: row["balance_micro"] for row in rows}
