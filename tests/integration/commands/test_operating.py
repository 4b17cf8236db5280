"""Tokens, accounts and the audit, as an operator types them."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from shared.access import keys, tokens
from shared.db import apply, inbound, ledger, messages
from shared.db import tokens as stored
from shared.runtime import ids
from shared.sms.inbound import Alphabet, InboundText
from tests.drafts import draft
from tests.integration.commands.sluice import SECRET_KEY, Command
from tests.keys import SEALS

ACCOUNT = '[[account]]\nname = "demo"\ncurrency = "EUR"\ncredit = "10"\n'


async def _with_account(command: Command, folder: Path) -> None:
    file = folder / "account.toml"
    file.write_text(ACCOUNT)
    assert (await command("apply", str(file))).code == 0


async def test_a_token_is_shown_once_and_opens_its_account(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    # Given an account, When a token is made for it
    await _with_account(command, tmp_path)
    ended = await command("token", "create", "demo", "laptop", "--json")

    # Then only its hash is stored, and that finds the account
    made = json.loads(ended.output)
    assert (made["account"], made["name"]) == ("demo", "laptop")
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        token_hash, *_ = tokens.hashes(made["token"], keys.Keys.read(SECRET_KEY))
        found = await stored.find(connection, [token_hash])
        assert [token.caller.account_id for token in found.values()] == [1]
    finally:
        await connection.close(timeout=10)


async def test_a_token_is_refused_when_its_name_is_taken_or_there_are_ten(
    command: Command, tmp_path: Path
) -> None:
    # Given an account with nine tokens
    await _with_account(command, tmp_path)
    made = await asyncio.gather(*(command("token", "create", "demo", f"t{n}") for n in range(9)))
    assert [each.code for each in made] == [0] * 9

    # When a name is used again, an eleventh is asked for, or there is no such account
    again = await command("token", "create", "demo", "t3")
    tenth = await command("token", "create", "demo", "t9")
    eleventh = await command("token", "create", "demo", "t10")
    nobody = await command("token", "create", "nobody", "t")

    # Then each is told in one sentence
    assert (again.code, again.errors) == (
        1,
        "sluice: account 'demo' already has a token named 't3'\n",
    )
    assert tenth.code == 0
    assert (eleventh.code, eleventh.errors) == (
        1,
        "sluice: account 'demo' already has 10 tokens\n",
    )
    assert (nobody.code, nobody.errors) == (2, "sluice: there is no account 'nobody'\n")


async def test_a_token_is_listed_without_itself_and_revoked_once(
    command: Command, tmp_path: Path
) -> None:
    # Given a token for 90 days, and one without an end
    await _with_account(command, tmp_path)
    made = await command("token", "create", "demo", "phone", "--expires-in", "90d")
    assert (await command("token", "create", "demo", "laptop")).code == 0
    listed = json.loads((await command("token", "list", "demo", "--json")).output)["tokens"]
    assert made.output.strip() not in str(listed)
    assert [(token["name"], token["expires_at"] is None) for token in listed] == [
        ("phone", False),
        ("laptop", True),
    ]

    told = (await command("token", "list", "demo")).output.splitlines()
    assert re.match(r"phone: id \d+, may read\+send\+admin, created 20", told[0])
    assert told[1].endswith("expires never, never used")

    # When the laptop's is revoked, twice, and one that never was
    first = await command("token", "revoke", "demo", "laptop")
    second = await command("token", "revoke", "demo", "laptop")
    mistyped = await command("token", "revoke", "demo", "laptpo")

    # Then the second time says so, and a name that never was is not passed over
    assert (first.code, first.output) == (0, "token 'laptop' of demo: revoked\n")
    assert (second.code, second.output) == (0, "token 'laptop' of demo: had already ended\n")
    assert (mistyped.code, mistyped.errors) == (
        2,
        "sluice: account 'demo' has no token named 'laptpo'\n",
    )

    # And its name is free again, and its past is kept
    assert (await command("token", "create", "demo", "laptop")).code == 0
    everything = await command("token", "list", "demo", "--ended", "--json")
    assert [
        (token["name"], token["reason"]) for token in json.loads(everything.output)["tokens"]
    ] == [
        ("phone", None),
        ("laptop", None),
        ("laptop", "revoked"),
    ]


async def test_an_expiry_or_a_key_that_cannot_be_is_refused(
    database_url: str, command: Command, tmp_path: Path
) -> None:
    await _with_account(command, tmp_path)
    forever = await command("token", "create", "demo", "t", "--expires-in", "9999d")
    short = Command({"SLUICE_DATABASE_URL": database_url, "SLUICE_SECRET_KEY": "short"})

    assert (forever.code, forever.errors) == (
        2,
        "sluice: --expires-in: expected 30m, 12h or 90d, at most 3650d\n",
    )
    ended = await short("token", "create", "demo", "t")
    assert (ended.code, ended.errors) == (
        2,
        "sluice: SLUICE_SECRET_KEY: a key is 32 characters or more\n",
    )


async def test_credit_arrives_and_the_books_agree(command: Command, tmp_path: Path) -> None:
    # Given an account with 10 EUR, When an operator credits more
    await _with_account(command, tmp_path)
    credited = await command("account", "credit", "demo", "2.5", "--reason", "invoice 7")
    shown = await command("account", "show", "demo", "--json")
    audited = await command("audit", "--json")

    # Then balance, movements and audit say so
    assert (credited.code, credited.output) == (0, "balance of demo: 12.50 EUR\n")
    assert json.loads(shown.output) == {
        "name": "demo",
        "currency": "EUR",
        "balance": "12.50",
        "daily_limit": 200,
        "used_today": 0,
        "requests_per_minute": 60,
        "special_numbers": False,
        "plan": "professional",
        "store_body": True,
        "international": False,
        "consent": "north_america",
        "registration_enforced": True,
        "senders_restricted": False,
        "counts": {},
        "debited": "0.00",
        "refunded": "0.00",
        "credited": "12.50",
    }
    assert audited.code == 0
    assert json.loads(audited.output)["ok"] is True


async def test_the_audit_fails_and_names_the_wallet_when_a_balance_is_wrong(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    # Given a balance that was changed behind the product's back
    await _with_account(command, tmp_path)
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        await connection.execute("UPDATE wallets SET balance_micro = 1 WHERE account_id = 1")
    finally:
        await connection.close(timeout=10)

    # When the books are audited
    for_people = await command("audit")
    for_programs = await command("audit", "--json")

    # Then both say what is wrong and end with 1
    assert (for_people.code, for_programs.code) == (1, 1)
    assert "breach of wallets: wallet_id=7" in for_people.output
    checks = {check["name"]: check for check in json.loads(for_programs.output)["checks"]}
    assert checks["wallets"]["breaches"] == 1
    assert checks["wallets"]["rows"][0]["balance_micro"] == "1"


async def test_the_exit_status_tells_bad_usage_from_a_missing_server(tmp_path: Path) -> None:
    # Given an address where nothing listens
    command = Command({"SLUICE_DATABASE_URL": "postgresql://sluice:hush@127.0.0.1:1/sluice"})

    # When commands are used well and badly
    unreachable = await command("account", "list")
    unknown = await command("acount")
    missing = await command("apply", str(tmp_path / "none.toml"))
    negative = await command("account", "credit", "demo", "-5", "--reason", "x")

    # Then each status is its own, in one sentence without the password
    assert (unreachable.code, unreachable.errors) == (
        3,
        "sluice: cannot reach PostgreSQL at 127.0.0.1:1: nothing listens there\n",
    )
    assert (unknown.code, missing.code, negative.code) == (2, 2, 2)
    assert all(each.errors.count("\n") == 1 for each in (unknown, missing, negative))


async def test_help_of_every_command_has_an_example() -> None:
    command = Command({})
    names = ("ingest", "dispatcher", "dlr", "simulator", "migrate", "apply", "audit", "send")
    groups = (
        ("token", "create"),
        ("user", "add"),
        ("user", "password"),
        ("account", "show"),
        ("account", "credit"),
        ("account", "list"),
        ("account", "add-sub"),
    )
    for ended in await asyncio.gather(
        *(command(*path, "--help") for path in (*((name,) for name in names), *groups))
    ):
        assert ended.code == 0
        assert "Example: " in ended.output


async def test_what_phones_sent_to_nobody_is_listed_and_commands_no_terminal(
    command: Command, database_url: str
) -> None:
    # Given what phones have sent to a number of nobody's: a text, a text that would move the
    # cursor, what is no text, and a text of which a part is missing
    texts = (
        InboundText("STOP", None, Alphabet.GSM7, ()),
        InboundText("\x1b[2J[red]", None, Alphabet.LATIN1, ()),
        InboundText(None, b"\x00\xff", Alphabet.BINARY, (), b""),
        InboundText("half", None, Alphabet.GSM7, (2,)),
    )
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        way = (1, "+33612345678", "+33698765432")
        await inbound.insert(
            connection,
            SEALS,
            [inbound.new_inbound(ids.uuid7(), way, text, 2, None) for text in texts],
        )
    finally:
        await connection.close(timeout=10)
    # When an operator looks
    shown = (await command("inbound")).output
    found = json.loads((await command("inbound", "--limit", "3", "--json")).output)
    # Then it is there, the newest first, and nothing of it is a command
    assert "\x1b" not in shown
    assert "·[2J[red]" in shown
    assert "STOP" in shown
    assert "1/2" in shown
    assert [each["text"] for each in found] == ["half", None, "\x1b[2J[red]"]
    assert (found[0]["missing"], found[1]["data"]) == ([2], "AP8=")
    assert (found[0]["from"], found[0]["to"]) == way[1:]


async def test_a_message_is_rescheduled_and_canceled_by_an_operator(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    # Given a message that waits for tomorrow
    await _with_account(command, tmp_path)
    sent = await _scheduled(database_url)
    # When it is to go at a time that is none, has passed, or is too far away, Then it stays
    for time in ("tomorrow", "2036-01-01T00:00:00", "2016-01-01T00:00:00Z", "2036-01-01T00:00:00Z"):
        assert (await command("message", "reschedule", sent, time)).code == 2
    # When the time is good, Then it goes at that
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat(timespec="seconds")
    moved = await command("message", "reschedule", sent, later)
    assert (moved.code, moved.output) == (0, f"message {sent} is sent at {later}\n")
    # When it is canceled, also twice, Then it is, and has no time any more
    for _ in range(2):
        canceled = await command("message", "cancel", sent)
        assert (canceled.code, canceled.output) == (0, f"message {sent} is canceled and refunded\n")
    refused = await command("message", "reschedule", sent, later)
    assert (refused.code, refused.errors) == (
        1,
        "sluice: it does not wait for a time of its own: canceled\n",
    )
    nobody = await command("message", "cancel", str(UUID(int=0)))
    assert (nobody.code, nobody.errors) == (1, f"sluice: there is no message {UUID(int=0)}\n")
    audited = json.loads((await command("audit", "--json")).output)
    assert audited["ok"]


async def _scheduled(database_url: str) -> str:
    """A message of the account that ingest has stored."""
    opened = await asyncpg.connect(database_url, timeout=10)
    try:
        async with opened.transaction():
            await apply.put(opened, apply.Carrier("practice", "smpp", 0, {}), None)
            line = apply.Line("demo", "Sluice", "alphanumeric", "FR", True, 10, 10, 10)
            await apply.put(opened, line, None)
            purse = (await ledger.lock_purses(opened, [1]))[1]
            send_at = datetime.now(UTC) + timedelta(days=1)
            wanted = draft(purse.wallet_id, purse.revenue_wallet_id, 45_300, send_at=send_at)
            await messages.insert(opened, [wanted])
        return str(wanted.message_id)
    finally:
        await opened.close(timeout=10)
