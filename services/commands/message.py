"""`sluice message`: what became of a message, and why; and what is to become of one that waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import cyclopts
import msgspec
import rich.console
import rich.markup
import rich.table
from msgspec import UNSET

from services.commands import database
from services.commands.arguments import Flag, Json
from shared.db import events, messages, recall, traces
from shared.ledger import money
from shared.rules.compose import SEND_AHEAD_DAYS_MAX
from shared.runtime import exits, logs
from shared.shapes import message_trace, timeline
from shared.shapes.verdict import MessageVerdict

app = cyclopts.App(name="message", help="A message and its whole way; another time, or none.")


@app.command
async def trace(message_id: UUID, /, *, numbers: Flag = False, as_json: Json = False) -> int:
    """Show what was decided about a message, and all that happened to it, in order.

    Its price and route; each wait, with the limit that caused it; each submit, with the carrier's
    answer; each receipt, as it came and as it was read; refunds, events, and what webhooks were
    told. Never its text. The account that sent it reads the same at
    GET /v1/messages/ID/trace; `sluice openapi` explains the words of the timeline.

    Example: sluice message trace 0199c7f2-6f0e-7c31-9b7c-0a52f8f4a1d0

    Parameters
    ----------
    message_id
        The id that the API gave.
    numbers
        Show phone numbers in full; else their middle is hidden.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        await events.number(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            account_id = await traces.owner(connection, message_id)
            stored = account_id and await traces.read(connection, account_id, message_id)
            left = [] if stored else await traces.transfers(connection, message_id)
    if not stored:
        raise exits.NotDone(exits.FAILED, _gone(message_id, left))
    shown = message_trace.shown(stored, None if numbers else logs.mask)
    if as_json:
        print(msgspec.json.encode(shown).decode())
    else:
        print_trace(shown, stored.way.account)
    return exits.OK


@app.command
async def cancel(message_id: UUID, /) -> int:
    """Cancel a message of which nothing has left, and refund it. Doing it twice does no harm.

    Example: sluice message cancel 0199c7f2-6f0e-7c31-9b7c-0a52f8f4a1d0

    Parameters
    ----------
    message_id
        The id that the API gave.
    """
    async with database.connected() as connection, connection.transaction():
        account_id, found = await _message(connection, message_id)
        done = await recall.cancel(connection, account_id, message_id, recall.OPERATOR_REASON)
        if done is not recall.RecallResult.DONE:
            raise exits.NotDone(
                exits.FAILED, f"it may have left, or has come to its end: {found.status}"
            )
    print(f"message {message_id} is canceled and refunded")
    return exits.OK


@app.command
async def reschedule(message_id: UUID, send_at: str, /) -> int:
    """Send a scheduled message at another time, as long as its own has not come.

    Example: sluice message reschedule 0199c7f2-6f0e-7c31-9b7c-0a52f8f4a1d0 2026-12-24T18:00:00Z

    Parameters
    ----------
    message_id
        The id that the API gave.
    send_at
        The new time, with its zone: 2026-12-24T18:00:00Z or 2026-12-24T19:00:00+01:00.
    """
    async with database.connected() as connection, connection.transaction():
        account_id, found = await _message(connection, message_id)
        moment = _moment(send_at, found.created_at)
        done = await recall.reschedule(connection, account_id, message_id, moment)
        if done is not recall.RecallResult.DONE:
            raise exits.NotDone(
                exits.FAILED, f"it does not wait for a time of its own: {found.status}"
            )
    print(f"message {message_id} is sent at {moment.isoformat(timespec='seconds')}")
    return exits.OK


async def _message(
    connection: asyncpg.Connection, message_id: UUID
) -> tuple[int, messages.StoredMessage]:
    """The message and its account."""
    account_id = await traces.owner(connection, message_id)
    found = account_id and await messages.get(connection, account_id, message_id)
    if not account_id or not found:
        raise exits.NotDone(exits.FAILED, f"there is no message {message_id}")
    return account_id, found


def _moment(written: str, accepted_at: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(written)
        if moment.tzinfo is None:
            raise ValueError
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise exits.NotDone(
            exits.BAD_INPUT, f"not a time with its zone, such as 2026-12-24T18:00:00Z: {written}"
        ) from None
    if moment <= datetime.now(UTC):
        raise exits.NotDone(exits.BAD_INPUT, "this time has passed")
    if moment > accepted_at + timedelta(days=SEND_AHEAD_DAYS_MAX):
        raise exits.NotDone(
            exits.BAD_INPUT, f"this is more than {SEND_AHEAD_DAYS_MAX} days after it was accepted"
        )
    return moment


def _gone(message_id: UUID, left: list[traces.TracedTransfer]) -> str:
    """What is to be said of a message that is not there."""
    if not left:
        return f"there is no message {message_id}"
    moved = ", ".join(
        f"{each.kind} of {money.format_amount(each.amount_micro)} at"
        f" {each.created_at.isoformat(timespec='seconds')}"
        for each in left
    )
    return f"message {message_id} is older than the retention; its money is still known: {moved}"


def print_trace(shown: message_trace.Trace, account: str | None) -> None:
    """A message and its way, for people."""
    told, price, route = shown.message, shown.price, shown.route
    head = {
        "message": f"{told.message_id} of {account}: {told.status} {told.reason}".rstrip(),
        "from, to": f"{told.sender}, {told.recipient}",
        "price": (
            f"{price.segments} x {price.segment_price} = {price.price} {price.currency}"
            f" ({price.list.replace('_', ' ')}, {price.country})"
        ),
        "route": f"{route.line_kind} line, by {route.carrier} ({route.adapter})",
        "verdict": _verdict(shown.verdict),
        "checks": ", ".join(check.name for check in shown.checks),
    }
    if shown.waits is not None:
        since = shown.waits.since_or_until.isoformat(timespec="seconds")
        head["waits"] = f"{shown.waits.state}, {since}"
    console = rich.console.Console(highlight=False)
    for name, text in head.items():
        console.print(f"{name:<10} {_plain(text)}")
    table = rich.table.Table("at", "what", "part", "", box=None)
    for entry in shown.timeline:
        part = "" if entry.part is UNSET else str(entry.part)
        at = entry.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        table.add_row(at, entry.what, part, _plain(_told(entry)))
    console.print(table)
    for sentence in shown.not_known:
        console.print(f"not known  {sentence}")


def _verdict(found: MessageVerdict | None) -> str:
    if found is None:
        return "none, it is older than the rules"
    reasons = ", ".join(found.reasons)
    return f"{found.purpose or 'any purpose'}: {reasons} (rules {found.rules_version})"


_IN_COLUMNS = frozenset({"at", "what", "part"})


def _told(entry: timeline.TimelineEntry) -> str:
    """The members that an entry has beside its columns."""
    words = []
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if name in _IN_COLUMNS or value is UNSET:
            continue
        if isinstance(value, timeline.LimitBucket):
            value = f"{value.scope} {value.window or '(others first)'}"
        elif isinstance(value, list):
            value = " ".join(value)
        elif hasattr(value, "isoformat"):
            value = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        words.append(f"{name.replace('_', ' ')}: {value}")
    return "; ".join(words)


def _plain(text: str) -> str:
    """A stranger's text for a terminal, which it may not command."""
    shown = "".join([char if char.isprintable() else "\N{MIDDLE DOT}" for char in text])
    return rich.markup.escape(shown)
