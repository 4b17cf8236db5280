"""`sluice carrier billed`: where carriers that cut texts themselves count otherwise than we do."""

from __future__ import annotations

import json
from typing import Annotated

import rich.console
import rich.table
from cyclopts import Parameter
from cyclopts.validators import Number

from services.commands import database
from services.commands.arguments import Json
from shared.db import trail
from shared.runtime import exits

Days = Annotated[int, Parameter(validator=Number(gte=1, lte=366))]


async def run(*, days: Days = 1, as_json: Json = False) -> int:
    """Show the messages for which a carrier bills more or fewer parts than were charged.

    Only carriers that are given whole messages and say how many parts they make of each can differ;
    each such message's trace says so too.

    Example: sluice carrier billed --days 7

    Parameters
    ----------
    days
        Messages of so many days.
    as_json
        Print a list of {"carrier", "message_count", "charged_count", "billed_count"}.
    """
    async with database.connected() as connection:
        found = await trail.billed_otherwise(connection, days)
    if as_json:
        print(json.dumps([each._asdict() for each in found]))
        return exits.OK
    table = rich.table.Table("carrier", box=None)
    for heading in ("messages", "parts charged", "parts billed"):
        table.add_column(heading, justify="right")
    for each in found:
        table.add_row(each.carrier, *(f"{count:,}" for count in each[1:]))
    rich.console.Console(highlight=False).print(table)
    return exits.OK
