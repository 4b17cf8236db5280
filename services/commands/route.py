"""`sluice route`: which routes there are, how carriers stand, and what would be chosen now."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import cyclopts
import msgspec
import rich.console
import rich.table
from cyclopts import Parameter

from services.commands import database
from services.commands.arguments import Json
from services.commands.line import found
from shared.db import configuration, routes, standings
from shared.ledger import money
from shared.rules.lines import Line
from shared.rules.routes import ANYWHERE, Journey, RouteChoice, ranked
from shared.rules.snapshot import Configuration
from shared.rules.standings import AnswerCounts, Condition
from shared.runtime import exits, ids
from shared.sms import e164
from shared.sms.classes import CLASSES, ClassName

app = cyclopts.App(name="route", help="Where messages go, and how carriers fare.")

HEALTH_SECONDS = 60
_ORDER = [
    "line",
    "account",
    "network",
    "prefix",
    "country",
    "class",
]


class CarrierVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A carrier, and what would become of the message there."""

    carrier: str
    verdict: str
    cause: str = ""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What would be chosen now; `carrier` is None where no route leads there. Not `well`: no
    carrier is, and the message would wait for this one."""

    country: str
    carrier: str | None
    well: bool
    carriers: list[CarrierVerdict]


@app.command
async def explain(
    *,
    to: str,
    line: str | None = None,
    account: str | None = None,
    class_: Annotated[ClassName, Parameter(name="--class")] = "normal",
    network: str = "",
    as_json: Json = False,
) -> int:
    """Tell by which carrier a message would go now, and why by no other.

    Example: sluice route explain --to +33612345678 --line demo/Sluice

    Parameters
    ----------
    to
        The phone, as E.164.
    line
        Its id, ACCOUNT/SENDER, or a sender.
    account
        Whose line it is, or who sends, if no line is named.
    class_
        How urgent the message is.
    network
        MCC and MNC of the phone, if they are known.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        current = await configuration.load(connection)
    journey = _journey(current, to, line, account, class_, network)
    choice = current.route(journey)
    told = _explained(current, journey, choice)
    if as_json:
        print(msgspec.json.encode(told).decode())
    else:
        _print_explained(told)
    return exits.OK


def _journey(
    current: Configuration,
    to: str,
    line: str | None,
    account: str | None,
    class_name: ClassName,
    network: str,
) -> Journey:
    try:
        phone = e164.parse(to)
    except e164.InvalidNumber as error:
        raise exits.NotDone(exits.BAD_INPUT, f"--to: {error}") from None
    account_id = 0
    if account is not None:
        owners = [each.account_id for each in current.accounts.values() if each.name == account]
        if not owners:
            raise exits.NotDone(exits.BAD_INPUT, f"there is no account {account!r}")
        account_id = owners[0]
    line_id = 0
    if line is not None:
        named = _line(current, line, account_id)
        line_id, account_id = named.line_id, named.account_id
    elif (default := current.lines.default_of(account_id)) is not None:
        line_id = default.line_id
    return Journey(
        ids.uuid7(),
        phone.country,
        phone.e164,
        account_id,
        line_id,
        CLASSES.index(class_name),
        network,
    )


def _line(current: Configuration, text: str, account_id: int) -> Line:
    owners = [account_id] if account_id else current.accounts
    lines = (current.lines.of_sender(each, text) for each in owners)
    senders = [each for each in lines if each is not None]
    if len(senders) > 1:
        raise exits.NotDone(exits.BAD_INPUT, f"several accounts have a line {text!r}: name one")
    return senders[0] if senders else found(current, text)


def _explained(current: Configuration, journey: Journey, choice: RouteChoice) -> Explained:
    routes_there = current.routes_to(journey.country)
    passed = dict(choice.passed_over)
    verdicts = []
    for carrier_id in ranked(routes_there, journey):
        word = "chosen" if carrier_id == choice.carrier_id else str(passed[carrier_id])
        verdicts.append(
            CarrierVerdict(
                carrier=current.carriers[carrier_id].name,
                verdict=word,
                cause=_cause(current, carrier_id, journey.country),
            )
        )
    leading = {each.carrier for each in verdicts}
    for route in (each for together in routes_there for each in together):
        name = current.carriers[route.carrier_id].name
        misfit = route.misfit(journey)
        if name not in leading and misfit is not None:
            verdicts.append(
                CarrierVerdict(carrier=name, verdict=f"its route is for another {misfit}")
            )
    carrier = None if choice.carrier_id is None else current.carriers[choice.carrier_id].name
    return Explained(country=journey.country, carrier=carrier, well=choice.well, carriers=verdicts)


def _cause(current: Configuration, carrier_id: int, country: str) -> str:
    found_there = (current.standings.get((carrier_id, each)) for each in (ANYWHERE, country))
    return "; ".join(each.cause for each in found_there if each is not None)


def _print_explained(told: Explained) -> None:
    if told.carrier is None:
        print(f"No route leads to {told.country} for this message: it would be refused.")
    elif told.well:
        print(f"To {told.country} by {told.carrier}.")
    else:
        print(f"To {told.country} by {told.carrier}, once that is well: no other carrier is.")
    table = rich.table.Table("carrier", "what would become of it", "because", box=None)
    for each in told.carriers:
        table.add_row(each.carrier, each.verdict, each.cause)
    rich.console.Console(highlight=False).print(table)


class RouteRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A route as it is set."""

    carrier: str
    priority: int
    country: str
    prefix: str | None = None
    network: str | None = None
    account: str | None = None
    line: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    weight: int | None = None
    cost: str | None = None


@app.command(name="list")
async def show_all(*, as_json: Json = False) -> int:
    """List every route, those that name the most first.

    Example: sluice route list

    Parameters
    ----------
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        rows = [_row(each) for each in await routes.read(connection)]
    rows.sort(key=_standing_order)
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return exits.OK
    table = rich.table.Table("for", "carrier", "priority", "weight", "cost", box=None)
    for row in rows:
        weight = "" if row.weight is None else str(row.weight)
        table.add_row(_named(row), row.carrier, str(row.priority), weight, row.cost or "")
    rich.console.Console(highlight=False).print(table)
    return exits.OK


def _row(route: routes.Route) -> RouteRow:
    cost = None if route.cost_micro is None else money.format_amount(route.cost_micro)
    return RouteRow(
        carrier=route.carrier,
        priority=route.priority,
        country=route.country,
        prefix=route.prefix,
        network=route.network,
        account=route.account,
        line=route.line,
        class_=route.message_class,
        weight=route.weight,
        cost=cost,
    )


def _values(row: RouteRow) -> list[tuple[str, str | None]]:
    country = None if row.country == ANYWHERE else row.country
    values = [row.line, row.account, row.network, row.prefix, country, row.class_]
    return list(zip(_ORDER, values, strict=True))


def _standing_order(row: RouteRow) -> tuple[list[tuple[int, str]], int, str]:
    named = [
        (-len(value or "") if what == "prefix" else -bool(value), value or "")
        for what, value in _values(row)
    ]
    return named, row.priority, row.carrier


def _named(row: RouteRow) -> str:
    return " ".join(f"{what} {value}" for what, value in _values(row) if value) or "everything"


class CarrierHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a carrier stands, to a country or to all (`*`), and what it answered in a minute.
    `links`: how often processes looked at theirs in five seconds, and how often it was up."""

    carrier: str
    country: str
    condition: Condition | Literal["well"]
    since: datetime | None
    share: float
    cause: str
    taken: int
    refused: int
    failed: int
    links_up: int
    links: int


@app.command
async def health(*, as_json: Json = False) -> int:
    """Show how each carrier fares: well, sick, down, or coming back, and since when.

    Example: sluice route health

    Parameters
    ----------
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        current = await configuration.load(connection)
        minute = await standings.counts(connection, HEALTH_SECONDS)
        moment = await standings.counts(connection, 5)
    rows = _fares(current, minute, moment)
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return exits.OK
    table = rich.table.Table("carrier", "to", "is", "since", box=None)
    for heading in ("share", "taken", "refused", "failed", "links"):
        table.add_column(heading, justify="right")
    table.add_column("because")
    for row in rows:
        since = "" if row.since is None else f"{time.time() - row.since.timestamp():,.0f} s"
        numbers = [f"{each:,}" for each in (row.taken, row.refused, row.failed)]
        links = f"{row.links_up}/{row.links}" if row.links else ""
        table.add_row(
            row.carrier,
            row.country,
            row.condition,
            since,
            f"{row.share:.0%}",
            *numbers,
            links,
            row.cause,
        )
    rich.console.Console(highlight=False).print(table)
    return exits.OK


def _fares(
    current: Configuration,
    minute: list[standings.CarrierSecond],
    moment: list[standings.CarrierSecond],
) -> list[CarrierHealth]:
    """Each carrier with its links, then the countries it answered to or is not well for."""
    answered = {(each.carrier_id, each.country): each for each in minute}
    links = {each.carrier_id: each for each in moment if each.country == ANYWHERE}
    keys = {*answered, *current.standings, *((each, ANYWHERE) for each in current.carriers)}
    return [
        _fare(current, key, answered.get(key), links.get(key[0]) if key[1] == ANYWHERE else None)
        for key in sorted(keys)
        if key[0] in current.carriers
    ]


def _fare(
    current: Configuration,
    key: tuple[int, str],
    counts: standings.CarrierSecond | None,
    link: standings.CarrierSecond | None,
) -> CarrierHealth:
    standing = current.standings.get(key)
    told = AnswerCounts() if counts is None else AnswerCounts(*counts[2:5])
    return CarrierHealth(
        carrier=current.carriers[key[0]].name,
        country=key[1],
        condition="well" if standing is None else standing.condition,
        since=None if standing is None else datetime.fromtimestamp(standing.since_seconds, UTC),
        share=1.0 if standing is None else standing.share,
        cause="" if standing is None else standing.cause,
        taken=told.taken,
        refused=told.refused,
        failed=told.failed,
        links_up=0 if link is None else link.up,
        links=0 if link is None else link.up + link.down,
    )
