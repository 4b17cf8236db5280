"""`sluice price`: the price list as it stands, and prices that were announced in error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import cyclopts
import msgspec
import rich.console
import rich.table
from cyclopts import Parameter

from services.commands import database
from services.commands.arguments import Json
from shared.db import configuration, prices
from shared.rules import prices as rules
from shared.runtime import exits
from shared.shapes.price import CountryPrice, shown

app = cyclopts.App(name="price", help="What a segment costs by country, and when.")

Currency = Annotated[Literal["EUR", "GBP", "USD"] | None, Parameter(name="--currency")]


@app.command(name="list")
async def show(
    country: str | None = None, /, *, currency: Currency = None, as_json: Json = False
) -> int:
    """List prices per segment: those in force now, and those that are announced.

    A country that is not in the list is not offered: messages to it are refused.

    Example: sluice price list FR --currency EUR

    Parameters
    ----------
    country
        Two letters (ISO 3166); all countries if it is left out.
    currency
        Of this currency alone.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        current = await configuration.load(connection)
    found = [
        shown(each)
        for each in rules.listed(current, datetime.now(UTC))
        if country in (None, each.country) and currency in (None, each.currency)
    ]
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _print(found)
    return exits.OK


def _print(found: list[CountryPrice]) -> None:
    table = rich.table.Table("country", "kind", "currency", box=None)
    table.add_column("a segment", justify="right")
    table.add_column("from")
    table.add_column("until")
    for each in found:
        times = [_moment(each.from_at), _moment(each.until_at)]
        table.add_row(each.country, each.kind, each.currency, each.amount, *times)
    rich.console.Console(highlight=False).print(table)


def _read_moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise exits.NotDone(
            exits.BAD_INPUT, "expected a time with its offset, such as 2027-01-01T00:00:00Z"
        )
    return found


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@app.command(name="take-back")
async def take_back(
    country: str,
    currency: Literal["EUR", "GBP", "USD"],
    begins: str,
    /,
    *,
    kind: Literal["usual", "special"] = "usual",
) -> int:
    """Take back a price that was announced and has not begun.

    One that has begun is ended or changed by `sluice apply`, and stays on record.

    Example: sluice price take-back FR EUR 2027-01-01T00:00:00Z

    Parameters
    ----------
    country
        Two letters (ISO 3166).
    currency
        EUR, GBP or USD.
    begins
        When it would begin: the `from` of the list, with its offset.
    kind
        The usual price, or that of special numbers.
    """
    from_at = _read_moment(begins)
    async with database.connected() as connection, connection.transaction():
        if not await prices.take_back(connection, country, currency, kind, from_at):
            raise exits.NotDone(
                exits.BAD_INPUT, f"no price of {country} in {currency} is to begin at {begins}"
            )
        await configuration.bump(connection)
    print(f"taken back: {country} {currency} from {_moment(from_at)}")
    return exits.OK
