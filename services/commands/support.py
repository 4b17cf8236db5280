"""`sluice support`: what accounts have asked the operator for, and what they are answered."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import cyclopts
import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter, validators

from services.commands import database
from services.commands.arguments import Flag, Json
from shared.db import support
from shared.runtime import exits

app = cyclopts.App(name="support", help="What accounts have asked the operator for.")

ANSWER_LENGTH_MAX = 2_000


@app.command(name="list")
async def show(
    *,
    closed: Flag = False,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10_000))] = 100,
    as_json: Json = False,
) -> int:
    """List what accounts have asked for and wait to be answered, the newest first.

    Example: sluice support list --json

    Parameters
    ----------
    closed
        Show what has been answered as well.
    limit
        How many to show at most.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        found = await support.every(connection, limit, closed=closed)
    if as_json:
        print(json.dumps([asdict(each) for each in found], default=str))
        return exits.OK
    table = rich.table.Table("id", "account", "asked", "country", "words", "answer", box=None)
    for each in found:
        asked = each.created_at.isoformat(timespec="seconds")
        words = (each.account, asked, each.country or "", each.words, each.answer or "")
        table.add_row(str(each.support_request_id), *map(rich.markup.escape, words))
    rich.console.Console(highlight=False).print(table)
    return exits.OK


@app.command
async def close(support_request_id: UUID, /, *, answer: str) -> int:
    """Answer a request, which ends it. Its account reads the answer by GET /v1/support-requests.

    Example: sluice support close 0197... --answer "Antarctica is open from 1 February on."

    Parameters
    ----------
    support_request_id
        Its id, from `sluice support list`.
    answer
        What the account is told.
    """
    if not 0 < len(answer.strip()) <= len(answer) <= ANSWER_LENGTH_MAX:
        raise exits.NotDone(
            exits.BAD_INPUT, f"expected an answer of 1 to {ANSWER_LENGTH_MAX} characters"
        )
    async with database.connected() as connection:
        if not await support.close(connection, support_request_id, answer):
            raise exits.NotDone(
                exits.BAD_INPUT, f"no request {support_request_id} waits for an answer"
            )
    print(f"closed {support_request_id}")
    return exits.OK
