"""`sluice line`: what lines are, and what an operator changes of one without a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import cyclopts
import msgspec
import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter

from services.commands import database
from services.commands.arguments import Json
from services.commands.configuration import difference, lines
from services.commands.configuration.faults import Faults
from shared.db import apply, configuration
from shared.db.connection import Connection
from shared.rules.lines import Line
from shared.rules.snapshot import Configuration
from shared.runtime import exits
from shared.shapes import line as shapes

app = cyclopts.App(
    name="line", help="Lines: what they can, whom they serve, what they are registered for."
)

All = Annotated[bool, Parameter(name="--all", negative="")]
Word = str | None


@app.command(name="list")
async def show_all(account: str = "", /, *, of_all: All = False, as_json: Json = False) -> int:
    """List the lines of an account, or of all.

    Example: sluice line list demo

    Parameters
    ----------
    account
        The account's name.
    of_all
        Those of every account.
    as_json
        Print JSON, for programs.
    """
    if bool(account) == of_all:
        raise exits.NotDone(exits.BAD_INPUT, "name an account, or say --all")
    async with database.connected() as connection:
        current = await configuration.load(connection)
    ids = {each.name: each.account_id for each in current.accounts.values()}
    if account and account not in ids:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no account {account!r}")
    found = current.lines.of_account(ids[account]) if account else current.lines.values()
    if as_json:
        print(json.dumps([_plain(current, line) for line in found]))
    else:
        _print_all(current, found)
    return exits.OK


def _print_all(current: Configuration, found: Iterable[Line]) -> None:
    table = rich.table.Table(box=None)
    for heading in ("id", "account", "sender", "kind", "country", "mode", "registration"):
        table.add_column(heading, overflow="fold")
    for line in found:
        row = (
            str(line.line_id),
            current.accounts[line.account_id].name,
            line.sender,
            line.kind,
            line.country,
            line.mode,
            line.registration.state,
        )
        table.add_row(*map(rich.markup.escape, row))
    rich.console.Console(highlight=False).print(table)


@app.command
async def show(line: str, /, *, as_json: Json = False) -> int:
    """Show all that is known of a line.

    Example: sluice line show demo/+12025550123 --json

    Parameters
    ----------
    line
        Its id, or ACCOUNT/SENDER.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        current = await configuration.load(connection)
    shown = _plain(current, found(current, line))
    if as_json:
        print(json.dumps(shown))
        return exits.OK
    for name, value in _flat(shown):
        print(f"{name:<20} {value}")
    return exits.OK


def _plain(current: Configuration, line: Line) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(shapes.shown(line))
    return {"account": current.accounts[line.account_id].name, **shown}


def _flat(shown: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in shown.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{name} ")
        else:
            told = " ".join(value) if isinstance(value, list) else value
            yield f"{prefix}{name}".replace("_", " "), "" if told is None else str(told)


def found(current: Configuration, text: str) -> Line:
    """The line that an operator names. Raises NotDone."""
    named = _parsed(text)
    if isinstance(named, int):
        line = current.lines.get(named)
    else:
        ids = (each.account_id for each in current.accounts.values() if each.name == named[0])
        line = current.lines.of_sender(next(ids, 0), named[1])
    if line is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no line {text!r}")
    return line


def _parsed(text: str) -> int | tuple[str, str]:
    """An id, or an account and a sender."""
    account, slash, sender = text.rpartition("/")
    if slash and account and sender:
        return account, sender
    if text.isascii() and text.isdigit() and len(text) <= len(str(2**31 - 1)):
        return int(text)
    raise exits.NotDone(exits.BAD_INPUT, "LINE: expected an id, or ACCOUNT/SENDER")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What may be said of a line; None: nothing."""

    name: Annotated[Word, Parameter(help="What people call it.")] = None
    capability: Annotated[
        list[str] | None, Parameter(help="sms or mms, named once for each.", negative="")
    ] = None
    mode: Annotated[
        Word, Parameter(help="Who sends from it and gets what comes to it: application or api.")
    ] = None
    registration: Annotated[
        Word, Parameter(help="How far it is: none, pending, approved, rejected, suspended.")
    ] = None
    brand: Annotated[Word, Parameter(help="The brand that it is registered for.")] = None
    campaign: Annotated[
        Word, Parameter(help="The campaign, or the number of the verification.")
    ] = None
    registered_from: Annotated[
        Word, Parameter(help="The first day on which the registration is good: 2026-01-31.")
    ] = None
    registered_until: Annotated[Word, Parameter(help="The last day.")] = None
    use_case: Annotated[Word, Parameter(help="What its owner has declared, for the record.")] = None
    purpose: Annotated[
        Word,
        Parameter(help="What a message is that does not say: conversation, automated, marketing."),
    ] = None
    time_zone: Annotated[Word, Parameter(help="Its IANA name, where it is not its country's.")] = (
        None
    )

    def entry(self) -> dict[str, Any]:
        """As it would stand in an operator's file."""
        registration = _named(
            state=self.registration,
            brand=self.brand,
            campaign=self.campaign,
            until=self.registered_until,
            **{"from": self.registered_from},
        )
        return _named(
            name=self.name,
            capabilities=self.capability,
            mode=self.mode,
            registration=registration or None,
            use_case=self.use_case,
            purpose=self.purpose,
            time_zone=self.time_zone,
        )


_NO_CHANGES = Changes()


def _named(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@app.command(name="set")
async def change(
    line: str, /, changes: Annotated[Changes, Parameter(name="*")] = _NO_CHANGES
) -> int:
    """Change a line, and say what changed; it is in force with the next message.

    What is not named stays. An empty word takes away what stands; so does --purpose none, and
    --registration none with all that belongs to it.

    Example: sluice line set demo/+12025550123 --registration approved --brand B1 --campaign C1

    Parameters
    ----------
    line
        Its id, or ACCOUNT/SENDER.
    """
    if changes == _NO_CHANGES:
        raise exits.NotDone(exits.BAD_INPUT, "name what is to change; see sluice line set --help")
    async with database.connected() as connection:
        await apply.lock(connection)
        before = await _stored(connection, line)
        faults = Faults()
        after = lines.changed(before, changes.entry(), line, faults)
        if faults.sentences:
            raise exits.NotDone(exits.BAD_INPUT, *faults.sentences)
        found = difference.between({before.key: before}, [after])
        if found.changes:
            async with connection.transaction():
                await apply.put(connection, after, before)
                await configuration.bump(connection)
    for sentence in difference.lines(found):
        print(sentence)
    return exits.OK


async def _stored(connection: Connection, text: str) -> apply.Line:
    named = _parsed(text)
    if isinstance(named, int):
        stored = await apply.find_line(connection, line_id=named)
    else:
        stored = await apply.find_line(connection, account=named[0], sender=named[1])
    if stored is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no line {text!r}")
    return stored
