"""`sluice consent`: who has agreed to be written to, as operators see, record and prove it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import cyclopts

from services.commands import database, phones
from services.commands.arguments import Json
from services.commands.phones import Limit
from shared.db import consents
from shared.db.connection import Connection
from shared.db.consents import ConsentSource, NewConsent, StoredConsent
from shared.db.opt_outs import PhoneOfAccount
from shared.rules.purposes import Purpose
from shared.runtime import exits, ids

app = cyclopts.App(name="consent", help="Phones that have agreed to an account's messages.")

_LIST: Final[phones.PhoneList[StoredConsent]] = phones.PhoneList(
    ("number", "purpose", "given_at", "place", "wording"), consents.page, consents.take_turn
)


@app.command(name="list")
async def show_all(account: str, /, *, limit: Limit = 50, as_json: Json = False) -> int:
    """List the consents of an account that are in force, in the order of their numbers.

    Example: sluice consent list demo --limit 100 --json

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
async def show(account: str, number: str, /, *, as_json: Json = False) -> int:
    """Prove when, where and to which words a phone has agreed, also what is over.

    Example: sluice consent show demo +12025550123

    Parameters
    ----------
    account
        The account's name.
    number
        The phone's number in E.164.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        account_id = await phones.account_id(connection, account)
        found = await consents.of_phone(connection, account_id, number)
    if not found:
        raise exits.NotDone(exits.BAD_INPUT, "NUMBER: no consent of this phone is on record")
    columns = (*_LIST.columns, "source", "created_at", "ended_at", "ended_by", "end_reason")
    phones.show(found, columns, as_json=as_json)
    return exits.OK


@app.command
async def export(account: str, /) -> int:
    """Print all consents of an account that are in force as CSV, in the form that `import` reads.

    Example: sluice consent export demo > consents.csv

    Parameters
    ----------
    account
        The account's name.
    """
    return await _LIST.export(account)


@app.command
async def add(
    account: str,
    number: str,
    /,
    *,
    purpose: Purpose,
    given_at: datetime,
    place: str,
    wording: str,
) -> int:
    """Record that a phone has agreed. What its consent was before is kept, and in force no more.

    Example: sluice consent add demo +12025550123 --purpose automated --given-at 2026-05-02T10:00:00
    --place "form on paper, shop 3" --wording "Text me when my order is ready."

    Parameters
    ----------
    account
        The account's name.
    number
        The phone's number in E.164.
    purpose
        The most that was agreed to.
    given_at
        When; in UTC unless it says otherwise.
    place
        Where: a page, a form, a call.
    wording
        The words that were agreed to.
    """
    cells = [number, purpose, given_at.isoformat(), place, wording]
    print(f"recorded: {await _record(account, [cells])}")
    return exits.OK


@app.command(name="import")
async def import_consents(account: str, file: Path, /) -> int:
    """Record the consents of a CSV file: number, purpose, given_at, place, wording; a heading is
    passed over.

    What is on record already stays as it is, so a file may be imported twice.

    Example: sluice consent import demo consents.csv

    Parameters
    ----------
    account
        The account's name.
    file
        A consent on each line, as `export` prints it.
    """
    print(f"recorded: {await _record(account, phones.read(file, _LIST.columns[0]))}")
    return exits.OK


async def _record(account: str, rows: Sequence[Sequence[str]]) -> int:
    """How many had not been on record; none if one of them is none."""
    faults: list[str] = []
    read = [_read(row, place, faults) for place, row in enumerate(rows, 1)]
    phones.refuse(faults)
    phones.check(each.recipient for each in read)
    return await _LIST.change(account, read, _write)


async def _write(connection: Connection, account_id: int, page: Sequence[NewConsent]) -> int:
    wanted = {each.recipient: each._replace(account_id=account_id) for each in page}
    return len(await consents.record(connection, list(wanted.values())))


def _read(row: Sequence[str], place: int, faults: list[str]) -> NewConsent:
    """A row as a consent of no account yet; what is wrong with it is added to `faults`."""
    number, word, moment, where, wording = (*(cell.strip() for cell in row), *[""] * 5)[:5]
    purpose, given_at = "", datetime.now(UTC)
    try:
        purpose = Purpose(word)
        given_at = _moment(moment)
    except ValueError as error:
        faults.append(f"row {place}: {error}")
    if not (where and wording):
        faults.append(f"row {place}: say where it was given, and to which words")
    return NewConsent(
        ids.uuid7(), 0, number, purpose, given_at, where, wording, ConsentSource.OPERATOR
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise ValueError("a consent that has not been given yet is none")
    return moment


@app.command
async def withdraw(account: str, number: str, /, *, reason: str) -> int:
    """A phone's consent is in force no more, from the next message on; the proof of it is kept.

    Example: sluice consent withdraw demo +12025550123 --reason "letter of 2 May"

    Parameters
    ----------
    account
        The account's name.
    number
        The phone's number in E.164.
    reason
        Kept with the consent's end.
    """
    if not reason.strip():
        raise exits.NotDone(exits.BAD_INPUT, "--reason: say why")
    async with database.connected() as connection:
        phone = PhoneOfAccount(await phones.account_id(connection, account), number)
        async with _LIST.turn(connection):
            ended = await consents.end(connection, phone, ConsentSource.OPERATOR, reason)
    if not ended:
        raise exits.NotDone(exits.BAD_INPUT, "NUMBER: no consent of this phone is in force")
    print("withdrawn")
    return exits.OK
