"""`sluice inbound`: what phones have sent to nobody, for operators to look at."""

from __future__ import annotations

import base64
import json
from typing import Annotated

import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter, validators

from services.commands import database
from services.commands.arguments import Json
from shared.db import inbound

Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10_000))]


async def run(*, limit: Limit = 50, as_json: Json = False) -> int:
    """List what phones have sent that belongs to no account, the newest first.

    It came to a number that is no line, or to a line of several accounts none of which has written
    to the phone before.

    Example: sluice inbound --limit 100 --json

    Parameters
    ----------
    limit
        How many to show at most.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        found = await inbound.of_nobody(connection, limit)
    if as_json:
        print(json.dumps([_members(each) for each in found]))
        return 0
    table = rich.table.Table("received", "from", "to", "parts", "text")
    for each in found:
        came_count = each.part_count - len(each.missing)
        table.add_row(
            each.received_at.isoformat(timespec="seconds"),
            _shown(each.sender),
            _shown(each.recipient),
            f"{came_count}/{each.part_count}",
            _shown(_text(each)),
        )
    rich.console.Console().print(table)
    return 0


def _text(each: inbound.StoredInbound) -> str:
    if not each.body_stored:
        return "(not stored)"
    return "(binary)" if each.body is None else each.body


def _shown(text: str) -> str:
    """A stranger's text for a terminal, which it may not command."""
    plain = "".join([char if char.isprintable() else "\N{MIDDLE DOT}" for char in text])
    return rich.markup.escape(plain)


def _members(each: inbound.StoredInbound) -> dict[str, object]:
    return {
        "id": str(each.inbound_id),
        "from": each.sender,
        "to": each.recipient,
        "text": each.body,
        "data": None if each.data is None else base64.b64encode(each.data).decode(),
        "body_stored": each.body_stored,
        "encoding": each.encoding,
        "parts": each.part_count,
        "missing": list(each.missing),
        "received_at": each.received_at.isoformat(),
    }
