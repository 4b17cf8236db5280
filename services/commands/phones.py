"""What commands about an account's phones share: whose they are, and what is no number."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter, validators

from shared.db import accounts
from shared.db.connection import Connection
from shared.runtime import exits
from shared.sms import e164

Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10_000))]
PAGE_COUNT: Final = 500
"""Phones that one transaction is about: others wait for it."""
_FAULT_COUNT_MAX: Final = 20


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
