"""`sluice opt-out`: phones that an account must not write to, as operators see and change them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import cyclopts
import rich.console
import rich.markup
import rich.table

from services.commands import database, phones
from services.commands.arguments import Json
from services.commands.phones import PAGE_COUNT, Limit
from shared.db import opt_outs
from shared.db.connection import Connection
from shared.db.opt_outs import NewOptOut, OptOutSource, PhoneOfAccount, StoredOptOut
from shared.runtime import exits, ids

app = cyclopts.App(name="opt-out", help="Phones that an account must not write to.")

_COLUMNS: Final = ("number", "source", "reason", "line", "created_at")


@app.command(name="list")
async def show(account: str, /, *, limit: Limit = 50, as_json: Json = False) -> int:
    """List the phones that have opted out of an account, in the order of their numbers.

    Example: sluice opt-out list demo --limit 100 --json

    Parameters
    ----------
    account
        The account's name.
    limit
        How many to show at most.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        account_id = await phones.account_id(connection, account)
        found = await opt_outs.page(connection, account_id, limit)
    if as_json:
        print(json.dumps([asdict(each) for each in found], default=str))
        return exits.OK
    table = rich.table.Table(*_COLUMNS, box=None)
    for each in found:
        table.add_row(*map(rich.markup.escape, _row(each)))
    rich.console.Console(highlight=False).print(table)
    return exits.OK


@app.command
async def export(account: str, /) -> int:
    """Print all of an account's opt-outs as CSV, in the form that `import` reads.

    Example: sluice opt-out export demo > opt-outs.csv

    Parameters
    ----------
    account
        The account's name.
    """
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(_COLUMNS)
    async with database.connected() as connection:
        account_id = await phones.account_id(connection, account)
        after = ""
        while page := await opt_outs.page(connection, account_id, PAGE_COUNT, after):
            rows.writerows(map(_row, page))
            after = page[-1].recipient
    return exits.OK


def _row(each: StoredOptOut) -> tuple[str, ...]:
    return (
        each.recipient,
        each.source,
        each.reason,
        each.sender or "",
        each.created_at.isoformat(timespec="seconds"),
    )


@app.command
async def add(account: str, number: str, /, *, reason: str) -> int:
    """Write to a phone no more. What waits for it is canceled and refunded.

    Example: sluice opt-out add demo +33612345678 --reason "complaint 2031"

    Parameters
    ----------
    account
        The account's name.
    number
        The phone's number in E.164.
    reason
        Kept with the opt-out.
    """
    phones.check([number])
    print(f"opted out: {await _opt_out(account, [number], reason)}")
    return exits.OK


@app.command(name="import")
async def import_opt_outs(account: str, file: Path, /, *, reason: str) -> int:
    """Opt out the phones in the first column of a CSV file; a heading is passed over.

    Phones that are out already stay as they are, so a file may be imported twice.

    Example: sluice opt-out import demo opt-outs.csv --reason "list of the old provider"

    Parameters
    ----------
    account
        The account's name.
    file
        A number in E.164 on each line, and whatever else.
    reason
        Kept with each opt-out.
    """
    numbers = [row[0].strip() for row in phones.read(file, _COLUMNS[0])]
    phones.check(numbers)
    print(f"opted out: {await _opt_out(account, numbers, reason)}")
    return exits.OK


async def _opt_out(account: str, numbers: Sequence[str], reason: str) -> int:
    """How many had not opted out before."""
    count = 0
    async with database.connected() as connection:
        account_id = await phones.account_id(connection, account)
        for start in range(0, len(numbers), PAGE_COUNT):
            async with _turn(connection):
                wanted = [
                    NewOptOut(ids.uuid7(), account_id, number, OptOutSource.OPERATOR, reason)
                    for number in numbers[start : start + PAGE_COUNT]
                ]
                created = await opt_outs.create(connection, wanted)
                await opt_outs.tell(connection, created)
                count += len(created)
    return count


@app.command
async def remove(account: str, number: str, /, *, reason: str) -> int:
    """Let an account write to a phone again that has said so by other ways than START.

    Example: sluice opt-out remove demo +33612345678 --reason "asked for by letter of 2 May"

    Parameters
    ----------
    account
        The account's name.
    number
        The phone's number in E.164.
    reason
        Kept with the opt-out's end.
    """
    if not reason.strip():
        raise exits.NotDone(exits.BAD_INPUT, "--reason: say why")
    async with database.connected() as connection:
        phone = PhoneOfAccount(await phones.account_id(connection, account), number)
        async with _turn(connection):
            ended = await opt_outs.end(connection, [phone], OptOutSource.OPERATOR, reason)
            await opt_outs.tell(connection, ended=ended)
    if not ended:
        raise exits.NotDone(exits.BAD_INPUT, "NUMBER: the phone has not opted out")
    print("opted in again")
    return exits.OK


@asynccontextmanager
async def _turn(connection: Connection) -> AsyncIterator[None]:
    async with connection.transaction():
        await opt_outs.take_turn(connection)
        yield
