"""Lists of an account's phones, as commands show, export and change them; and what is no number."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar

import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter, validators

from services.commands import database
from shared.db import accounts
from shared.db.connection import Connection
from shared.db.consents import StoredConsent
from shared.db.opt_outs import StoredOptOut
from shared.runtime import exits
from shared.sms import e164

Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10_000))]
PAGE_COUNT: Final = 500
"""Phones that one transaction is about: others wait for it."""
_FAULT_COUNT_MAX: Final = 20
_FIELDS: Final = {"number": "recipient", "line": "sender"}
"""Fields by columns, where they are not named alike."""

Stored = TypeVar("Stored", StoredConsent, StoredOptOut)
Change = TypeVar("Change")


@dataclass(frozen=True, slots=True)
class PhoneList(Generic[Stored]):
    """Phones of which something is on record, in the order of their numbers."""

    columns: tuple[str, ...]
    """As they are printed; the first is the number."""
    page: Callable[[Connection, int, int, str], Awaitable[Sequence[Stored]]]
    """Of an account at most so many, from the one on that follows a number."""
    take_turn: Callable[[Connection], Awaitable[None]]
    """Hold up others that change the list until the transaction ends."""

    async def show(self, account: str, limit: int, *, as_json: bool) -> int:
        """Print the first of an account's, at most `limit`."""
        async with database.connected() as connection:
            found = await self.page(connection, await account_id(connection, account), limit, "")
        show(found, self.columns, as_json=as_json)
        return exits.OK

    async def export(self, account: str) -> int:
        """Print all of an account's as CSV."""
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(self.columns)
        async with database.connected() as connection:
            owner = await account_id(connection, account)
            after = ""
            while page := await self.page(connection, owner, PAGE_COUNT, after):
                rows.writerows(_row(each, self.columns) for each in page)
                after = page[-1].recipient
        return exits.OK

    async def change(
        self,
        account: str,
        wanted: Sequence[Change],
        write: Callable[[Connection, int, Sequence[Change]], Awaitable[int]],
    ) -> int:
        """Write what is wanted of an account's phones, pages of it in transactions of their own;
        the sum of what `write` counts."""
        count = 0
        async with database.connected() as connection:
            owner = await account_id(connection, account)
            for start in range(0, len(wanted), PAGE_COUNT):
                async with self.turn(connection):
                    count += await write(connection, owner, wanted[start : start + PAGE_COUNT])
        return count

    @asynccontextmanager
    async def turn(self, connection: Connection) -> AsyncIterator[None]:
        """A transaction that no other change of the list runs beside."""
        async with connection.transaction():
            await self.take_turn(connection)
            yield


def show(found: Sequence[Stored], columns: Sequence[str], *, as_json: bool) -> None:
    """Print what is on record: for people, or for programs."""
    if as_json:
        print(json.dumps([asdict(each) for each in found], default=str))
        return
    table = rich.table.Table(*columns, box=None)
    for each in found:
        table.add_row(*map(rich.markup.escape, _row(each, columns)))
    rich.console.Console(highlight=False).print(table)


def _row(each: StoredConsent | StoredOptOut, columns: Sequence[str]) -> list[str]:
    values = [getattr(each, _FIELDS.get(name, name)) for name in columns]
    return [
        value.isoformat(timespec="seconds") if isinstance(value, datetime) else value or ""
        for value in values
    ]


async def account_id(connection: Connection, name: str) -> int:
    """The id of the account of this name. Raises NotDone if there is none."""
    account = await accounts.find(connection, name)
    if account is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
    return account.account_id


def check(numbers: Iterable[str]) -> None:
    """Raises NotDone that says at which places there are no numbers, and not what is there."""
    faults = []
    for place, number in enumerate(numbers, 1):
        try:
            e164.parse(number)
        except e164.InvalidNumber as error:
            faults.append(f"number {place}: {error}")
    refuse(faults)


def refuse(faults: list[str]) -> None:
    """Raises NotDone with the first of these, if there are any."""
    if faults:
        raise exits.NotDone(exits.BAD_INPUT, *faults[:_FAULT_COUNT_MAX])


def read(file: Path, heading: str) -> list[list[str]]:
    """The rows of a CSV file that are not blank, but for one that begins with `heading` on top.
    Raises NotDone."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise exits.NotDone(exits.BAD_INPUT, f"{file}: {error}") from None
    return rows[1:] if rows and rows[0][0].strip() == heading else rows
