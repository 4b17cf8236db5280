"""`sluice spending`: what accounts may spend and have spent, and lifting the guard for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import cyclopts
import msgspec
import rich.console
import rich.table
from cyclopts import Parameter, validators

from services.commands import database
from services.commands.arguments import Json
from shared.db import configuration, spending
from shared.db.connection import Connection
from shared.rules.snapshot import Account
from shared.runtime import exits
from shared.shapes import spending as shapes

app = cyclopts.App(
    name="spending", help="What accounts may spend, what they have spent, and what is held back."
)

REASON_LENGTH_MAX = 200
_Hours = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=24 * 31))]


@app.command
async def show(account: str, /, *, as_json: Json = False) -> int:
    """Show an account's caps, what is left of each, and what the guard lets pass by country.

    Example: sluice spending show demo

    Parameters
    ----------
    account
        The account's name.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        found = await _account(connection, account)
        countries = await spending.countries_of_today(connection, found.account_id)
        lifts = await spending.lifts(connection, found.account_id)
        looked_at = sorted({*countries, *(lift.country for lift in lifts)})
        caps = await spending.caps(connection, [found.wallet_id])
        guards = await spending.paces(connection, [found.wallet_id], looked_at)
    guard = shapes.guard_shown(*guards[found.wallet_id], lifts) if guards else None
    shown = shapes.SpendingStanding(
        currency=found.currency,
        caps=shapes.caps_shown(caps.get(found.wallet_id, ())),
        guard=guard,
    )
    if as_json:
        print(msgspec.json.encode(shown).decode())
    else:
        _print(shown)
    return exits.OK


def _print(shown: shapes.SpendingStanding) -> None:
    console = rich.console.Console(highlight=False)
    caps = rich.table.Table("cap on", "owner", "window", box=None)
    for heading in ("limit", "used", "left"):
        caps.add_column(f"{heading} {shown.currency}", justify="right")
    for each in shown.caps:
        amounts = (each.limit, each.used, each.left)
        caps.add_row(each.country or "everything", each.owner, each.window, *amounts)
    console.print(caps if shown.caps else "no caps")
    if shown.guard is None:
        console.print("no guard against traffic pumping")
        return
    guard = rich.table.Table("guarded", box=None)
    for heading in ("allowed an hour", "used", "busiest hour before"):
        guard.add_column(heading, justify="right")
    guard.add_column("lifted until")
    for country in shown.guard:
        until = country.lifted_until
        counts = (country.allowed, country.used, country.busiest_hour)
        guard.add_row(
            country.country,
            *map(str, counts),
            "" if until is None else until.isoformat(timespec="seconds"),
        )
    console.print(guard)


@app.command
async def lift(account: str, country: str, /, *, reason: str, hours: _Hours = 24) -> int:
    """Let everything that an account sends to a country pass the guard, for a while.

    What was refused meanwhile was neither stored nor charged; its producer sends it again.

    Example: sluice spending lift demo CI --hours 6 --reason "campaign, confirmed by phone"

    Parameters
    ----------
    account
        The account's name.
    country
        Two letters (ISO 3166).
    reason
        Kept with it.
    hours
        For how long.
    """
    if not 0 < len(reason.strip()) <= len(reason) <= REASON_LENGTH_MAX:
        raise exits.NotDone(
            exits.BAD_INPUT, f"expected a reason of 1 to {REASON_LENGTH_MAX} characters"
        )
    if not (len(country) == 2 and country.isascii() and country.isupper()):
        raise exits.NotDone(exits.BAD_INPUT, "expected the two letters of a country, such as FR")
    until_at = datetime.now(UTC) + timedelta(hours=hours)
    async with database.connected() as connection:
        found = await _account(connection, account)
        await spending.lift_guard(connection, found.account_id, country, until_at, reason)
    print(f"lifted: {account} to {country}, until {until_at.isoformat(timespec='seconds')}")
    return exits.OK


async def _account(connection: Connection, name: str) -> Account:
    current = await configuration.load(connection)
    for account in current.accounts.values():
        if account.name == name:
            return account
    raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
