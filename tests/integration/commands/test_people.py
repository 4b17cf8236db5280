"""People by the command: users with a first password, and sub-accounts, which have no money."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg

from shared.access import passwords
from tests.integration.commands.sluice import Command

ACCOUNT = '[[account]]\nname = "{}"\ncurrency = "EUR"\ncredit = "10"\n'


async def _with_account(command: Command, folder: Path) -> None:
    path = folder / "configuration.toml"
    path.write_text(ACCOUNT.format("demo"), "utf-8")
    assert (await command("apply", str(path))).code == 0


async def test_a_user_is_made_with_a_password_shown_once_listed_and_removed(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    # Given an account, When its first owner is made
    await _with_account(command, tmp_path)
    arguments = ("user", "add", "demo", "Ann@Demo.example", "--role", "owner", "--json")
    made = json.loads((await command(*arguments)).output)
    assert (made["account"], made["email"], made["role"]) == ("demo", "ann@demo.example", "owner")

    # Then a hash is stored, at the cost that is set, and the password is not
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        stored = await connection.fetchval("SELECT password_hash FROM users")
    finally:
        await connection.close(timeout=10)
    cost = passwords.Cost(19_456, 2)
    assert passwords.fits(made["password"], stored, cost)
    assert not passwords.is_outdated(stored, cost)

    # And what cannot be is refused, and the last owner stays
    again, nobody, bad, unread, last, listed, other = await asyncio.gather(
        command(*arguments),
        command("user", "add", "nobody", "a@b.example"),
        command("user", "add", "demo", "no address"),
        command("user", "add", "demo", "b@demo.example", "--password-stdin"),
        command("user", "remove", "demo", "ann@demo.example"),
        command("user", "list", "demo"),
        command("user", "password", "demo", "ann@demo.example"),
    )
    assert (again.code, again.errors) == (
        1,
        "sluice: account 'demo' already has a user with this address\n",
    )
    assert (nobody.code, bad.code, unread.code, last.code) == (2, 2, 2, 1)
    assert listed.output.startswith("ann@demo.example: owner, made 20")
    assert "never signed in" in listed.output
    assert other.output.strip() not in ("", made["password"])


async def test_a_sub_account_is_made_by_name_and_has_no_money_of_its_own(
    command: Command, tmp_path: Path
) -> None:
    # Given a main account, When it gets a sub-account, and that a token and a line
    await _with_account(command, tmp_path)
    made = await command("account", "add-sub", "demo", "berlin")
    assert (made.code, made.output) == (0, "demo/berlin\n")
    path = tmp_path / "lines.toml"
    path.write_text(
        '[[line]]\naccount = "demo/berlin"\nsender = "Berlin"\nkind = "alphanumeric"\n'
        'country = "DE"\ndefault = true\n',
        "utf-8",
    )
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(ACCOUNT.format("demo/berlin"), "utf-8")
    lines, token, shown, twice, nested, credit, set_up, audited = await asyncio.gather(
        command("apply", str(path)),
        command("token", "create", "demo/berlin", "till", "--scope", "send,read", "--json"),
        command("account", "show", "demo/berlin", "--json"),
        command("account", "add-sub", "demo", "berlin"),
        command("account", "add-sub", "demo/berlin", "mitte"),
        command("account", "credit", "demo/berlin", "1", "--reason", "gift"),
        command("apply", str(wrong)),
        command("audit", "--json"),
    )

    # Then it has them, and its main account's settings, and is refused the rest
    assert lines.code == 0, lines.errors
    assert json.loads(token.output)["scopes"] == ["read", "send"]
    assert json.loads(token.output)["token"].startswith("sls_")
    told = json.loads(shown.output)
    assert (told["main"], told["balance"], told["currency"]) == ("demo", "10.00", "EUR")
    assert (twice.code, nested.code, credit.code, set_up.code) == (1, 2, 2, 2)
    assert "credit 'demo'" in credit.errors
    assert "is a sub-account: it has its main account's settings" in set_up.errors
    assert audited.code == 0


async def test_a_scope_that_is_none_is_refused_with_those_there_are(
    command: Command, tmp_path: Path
) -> None:
    await _with_account(command, tmp_path)
    ended = await command("token", "create", "demo", "t", "--scope", "read,write")
    assert (ended.code, ended.errors) == (
        2,
        "sluice: --scope: expected some of read, send, admin, with commas between them\n",
    )
