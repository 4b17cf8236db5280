"""`sluice opt-out`: phones that an account must not write to, as operators see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import cyclopts

from services.commands import database, phones
from services.commands.arguments import Json
from services.commands.phones import Limit
from shared.db import opt_outs
from shared.db.connection import Connection
from shared.db.opt_outs import NewOptOut, OptOutSource, PhoneOfAccount, StoredOptOut
from shared.runtime import exits, ids

app = cyclopts.App(name="opt-out", help="Phones that an account must not write to.")

_LIST: Final[phones.PhoneList[StoredOptOut]] = phones.PhoneList(
    ("number", "source", "reason", "line", "created_at"), opt_outs.page, opt_outs.take_turn
)


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
    return await _LIST.show(account, limit, as_json=as_json)


@app.command
async def export(account: str, /) -> int:
    """Print all of an account's opt-outs as CSV, in the form that `import` reads.

    Example: sluice opt-out export demo > opt-outs.csv

    Parameters
    ----------
    account
        The account's name.
    """
    return await _LIST.export(account)


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
    numbers = [row[0].strip() for row in phones.read(file, _LIST.columns[0])]
    phones.check(numbers)
    print(f"opted out: {await _opt_out(account, numbers, reason)}")
    return exits.OK


async def _opt_out(account: str, numbers: Sequence[str], reason: str) -> int:
    """How many had not opted out before."""
    return await _LIST.change(account, numbers, partial(_write, reason))


async def _write(
    reason: str, connection: Connection, account_id: int, numbers: Sequence[str]
) -> int:
    created = await opt_outs.create(
        connection,
        [
            NewOptOut(ids.uuid7(), account_id, number, OptOutSource.OPERATOR, reason)
            for number in numbers
        ],
    )
    await opt_outs.tell(connection, created)
    return len(created)


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
        async with _LIST.turn(connection):
            ended = await opt_outs.end(connection, [phone], OptOutSource.OPERATOR, reason)
            await opt_outs.tell(connection, ended=ended)
    if not ended:
        raise exits.NotDone(exits.BAD_INPUT, "NUMBER: the phone has not opted out")
    print("opted in again")
    return exits.OK
