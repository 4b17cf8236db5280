"""`sluice account`: what accounts have, what they have spent, and credit by an operator."""

from __future__ import annotations

import json
from typing import Annotated

import asyncpg
import cyclopts
import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter

from services.commands import database
from services.commands.arguments import Json
from shared.db import accounts, apply, ledger, messages, sub_accounts
from shared.db.connection import Connection
from shared.ledger import money
from shared.runtime import exits

_PERMISSIONS = {"special_numbers", "international"}

app = cyclopts.App(name="account", help="Accounts, their money, counts.")


@app.command
async def show(name: str, /, *, as_json: Json = False) -> int:
    """Show an account's balance, limits, and messages by status.

    Example: sluice account show demo --json

    Parameters
    ----------
    name
        The account's name.
    as_json
        Print JSON, for programs.
    """
    async with (
        database.connected() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        account = await _find(connection, name)
        moved = await accounts.movements(connection, account.payer_account_id)
        payer_id = account.payer_account_id
        used = await ledger.used_today(connection, [payer_id])
        counts = await messages.counts(connection, account.account_id)
    shown: dict[str, object] = {
        "name": account.name,
        **({"main": account.main} if account.main else {}),
        "currency": account.currency,
        "balance": money.format_amount(account.balance_micro),
        "daily_limit": account.daily_limit,
        "used_today": used.get(payer_id, 0),
        "requests_per_minute": account.requests_per_minute,
        "special_numbers": account.special_numbers,
        "plan": account.plan,
        "store_body": account.store_body,
        "international": account.international,
        "consent": account.consent,
        "registration_enforced": account.registration_enforced,
        "senders_restricted": account.senders_restricted,
        "counts": {
            status: {"messages": message_count, "segments": segment_count}
            for status, message_count, segment_count, _ in counts
        },
        "debited": money.format_amount(moved.debited_micro),
        "refunded": money.format_amount(moved.refunded_micro),
        "credited": money.format_amount(moved.credited_micro),
    }
    if as_json:
        print(json.dumps(shown))
    else:
        _print(shown)
    return exits.OK


def _print(shown: dict[str, object]) -> None:
    for name, value in shown.items():
        if isinstance(value, dict):
            for status, count in value.items():
                print(f"{status:<22}{count['messages']} messages, {count['segments']} segments")
        else:
            print(f"{name.replace('_', ' '):<22}{_told(name, value)}")


def _told(name: str, value: object) -> object:
    if not isinstance(value, bool):
        return value
    if name in _PERMISSIONS:
        return "allowed" if value else "refused"
    return "yes" if value else "no"


@app.command
async def credit(
    name: str, amount: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, reason: str
) -> int:
    """Put money into an account's wallet.

    Example: sluice account credit demo 250.00 --reason "invoice 2031"

    Parameters
    ----------
    name
        The account's name.
    amount
        A decimal such as 12.50, in the account's currency.
    reason
        Kept with the transfer.
    """
    try:
        amount_micro = money.parse_amount(amount)
    except money.InvalidAmount as error:
        raise exits.NotDone(exits.BAD_INPUT, f"AMOUNT: {error}") from None
    if amount_micro == 0:
        raise exits.NotDone(exits.BAD_INPUT, "AMOUNT: a credit is more than 0")
    if not reason.strip() or reason == apply.CREDIT_REASON:
        raise exits.NotDone(
            exits.BAD_INPUT,
            f"--reason: say why, and not {apply.CREDIT_REASON!r}, which marks credits of a file",
        )
    async with database.connected() as connection, connection.transaction():
        account = await _find(connection, name)
        if account.main is not None:
            detail = f"{name!r} is a sub-account; its main account pays: credit {account.main!r}"
            raise exits.NotDone(exits.BAD_INPUT, detail)
        try:
            balance_micro, _ = await ledger.credit(
                connection, account.account_id, account.currency, amount_micro, reason
            )
        except asyncpg.NumericValueOutOfRangeError:
            raise exits.NotDone(exits.BAD_INPUT, "AMOUNT: the balance would be too large") from None
    print(f"balance of {name}: {money.format_amount(balance_micro)} {account.currency}")
    return exits.OK


@app.command(name="list")
async def show_all() -> int:
    """List all accounts with their balances.

    Example: sluice account list
    """
    async with database.connected() as connection:
        found = await accounts.every(connection)
    table = rich.table.Table("account", box=None)
    for heading in ("balance", "currency", "segments a day", "requests a minute"):
        table.add_column(heading, justify="right")
    for account in found:
        table.add_row(
            rich.markup.escape(account.name),
            money.format_amount(account.balance_micro),
            account.currency,
            str(account.daily_limit),
            str(account.requests_per_minute),
        )
    rich.console.Console(highlight=False).print(table)
    return exits.OK


@app.command(name="add-sub")
async def add(main: str, name: str, /) -> int:
    """Make a sub-account: it sends at its main account's cost, with its settings, and is refused
    whatever is of money, tokens and statistics.

    Its lines are made by `sluice apply`, its tokens by `sluice token create MAIN/NAME` or by its
    main account through the API.

    Example: sluice account add-sub demo shop-berlin

    Parameters
    ----------
    main
        The main account's name.
    name
        What it is called within that: small letters, digits, '.', '_' and '-'.
    """
    if not sub_accounts.is_name(name):
        detail = "NAME: expected small letters, digits, '.', '_' and '-', 40 at most"
        raise exits.NotDone(exits.BAD_INPUT, detail)
    async with database.connected() as connection, connection.transaction():
        account = await _find(connection, main)
        if account.main is not None:
            raise exits.NotDone(exits.BAD_INPUT, f"{main!r} is a sub-account itself")
        try:
            made = await sub_accounts.create(connection, account.account_id, name)
        except sub_accounts.SubNameTaken:
            detail = f"account {main!r} already has a sub-account {name!r}"
            raise exits.NotDone(exits.FAILED, detail) from None
        except sub_accounts.TooManySubAccounts:
            detail = f"account {main!r} already has {sub_accounts.COUNT_MAX} sub-accounts"
            raise exits.NotDone(exits.FAILED, detail) from None
    print(made.name)
    return exits.OK


async def _find(connection: Connection, name: str) -> accounts.Account:
    account = await accounts.find(connection, name)
    if account is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
    return account
