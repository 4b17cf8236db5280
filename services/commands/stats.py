"""`sluice stats`: what an account has sent in three months, counted."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

import msgspec
import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter

from services.commands import database
from services.commands.arguments import Json
from shared.db import accounts, export_rows, message_statistics, tabular
from shared.db.connection import Connection
from shared.db.message_statistics import GROUPS, StatisticsQuestion, StatisticsRow
from shared.db.tabular import FileFormat
from shared.ledger import money
from shared.runtime import exits
from shared.sms import outcome_words
from shared.sms.classes import CLASSES, ClassName
from shared.sms.outcome_words import MessageOutcome
from shared.sms.states import MessageStatus

_HEADINGS = {"reason": "details"}


@dataclass(frozen=True, kw_only=True)
class StatsFilter:
    """Which messages to count; None: all."""

    first_day: Annotated[
        str | None,
        Parameter(name="--from", help="The first day, such as 2026-11-01; three months ago."),
    ] = None
    last_day: Annotated[
        str | None, Parameter(name="--to", help="The last day, included; today.")
    ] = None
    country: Annotated[str | None, Parameter(help="What was sent there, such as FR.")] = None
    status: Annotated[MessageStatus | None, Parameter(help="What stands so.")] = None
    outcome: Annotated[MessageOutcome | None, Parameter(help="Of what this has come.")] = None
    message_class: Annotated[
        ClassName | None, Parameter(name="--class", help="Messages of this class.")
    ] = None

    async def question(self, connection: Connection, groups: tuple[str, ...]) -> StatisticsQuestion:
        """It as it is asked. Raises NotDone."""
        return StatisticsQuestion(
            _day("--from", self.first_day) or await message_statistics.begin(connection),
            _day("--to", self.last_day) or datetime.now(UTC).date(),
            outcome_words.statuses_within(self.status, self.outcome),
            self.country,
            None if self.message_class is None else CLASSES.index(self.message_class),
            groups,
        )


_EVERYTHING = StatsFilter()


async def run(
    name: str,
    /,
    wanted: Annotated[StatsFilter, Parameter(name="*")] = _EVERYTHING,
    *,
    by: str = "day",
    as_json: Json = False,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="")] = False,
) -> int:
    """Show what an account has sent in three months, counted by day and more.

    Messages, segments, cost, and how many were delivered, are pending or were rejected, with the
    reasons in words: exact at any moment. Days are of UTC, and of when a message was accepted.

    Example: sluice stats demo --by country,status --from 2026-11-01

    Parameters
    ----------
    name
        The account's name.
    wanted
        Which messages to count.
    by
        What the sums are told apart by, separated by commas: day, country, class, status, reason,
        code.
    as_json
        Print JSON, for programs.
    as_csv
        Print CSV, for spreadsheets.
    """
    groups = _groups(by)
    async with (
        database.connected() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        account = await accounts.find(connection, name)
        if account is None:
            raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
        asked = await wanted.question(connection, groups)
        if as_csv:
            return await _write_csv(connection, account.account_id, asked)
        rows = await message_statistics.read(connection, account.account_id, asked)
        is_complete = await message_statistics.is_complete(connection)
    if as_json:
        print(msgspec.json.encode([row._asdict() for row in rows]).decode())
    else:
        _print(groups, rows)
    if not is_complete:
        print("what was stored before the last update is still being counted", file=sys.stderr)
    return exits.OK


def _groups(by: str) -> tuple[str, ...]:
    wanted = by.split(",")
    if unknown := [group for group in wanted if group not in GROUPS]:
        raise exits.NotDone(exits.BAD_INPUT, f"--by: {unknown[0]!r} is none of {', '.join(GROUPS)}")
    return tuple(group for group in GROUPS if group in wanted)


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise exits.NotDone(
            exits.BAD_INPUT, f"{option}: {text!r} is no day such as 2026-11-01"
        ) from None


async def _write_csv(connection: Connection, account_id: int, asked: StatisticsQuestion) -> int:
    _, lines = await export_rows.statistics_lines(connection, account_id, asked, FileFormat.CSV)
    columns = export_rows.statistics_columns(asked.groups)
    sys.stdout.buffer.write((tabular.head(columns, FileFormat.CSV) + lines).encode())
    return exits.OK


def _print(groups: tuple[str, ...], rows: list[StatisticsRow]) -> None:
    table = rich.table.Table(box=None)
    for group in groups:
        table.add_column(_HEADINGS.get(group, group))
    for heading in ("messages", "segments", "cost", "", *MessageOutcome):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = {
            "day": str(row.day),
            "country": row.country or "",
            "class": "" if row.message_class is None else CLASSES[row.message_class],
            "status": row.status or "",
            "reason": outcome_words.details(row.reason or ""),
            "code": row.code or "",
        }
        table.add_row(
            *(rich.markup.escape(cells[group]) for group in groups),
            f"{row.message_count:,}",
            f"{row.segment_count:,}",
            money.format_amount(row.cost_micro),
            row.currency,
            *(f"{n:,}" for n in (row.delivered_count, row.pending_count, row.rejected_count)),
        )
    rich.console.Console(highlight=False).print(table)
