"""`sluice limits`: what is used of the limits that messages from a line meet."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated, Final

import cyclopts
import msgspec
import rich.console
import rich.table
from msgspec import Meta

from services.commands import database
from services.commands.arguments import Json
from services.commands.line import found
from shared.db import configuration
from shared.db import limits as recorded
from shared.db.connection import Connection
from shared.limits import usage
from shared.limits.permits import Permits
from shared.runtime import exits, redis_link, settings
from shared.shapes import line as shapes

app = cyclopts.App(name="limits", help="What is used of limits.")

_NUMBERS: Final = ("limit", "used", "left")


class Memory(settings.Variables, frozen=True, kw_only=True):
    """What is read to ask the limiter itself."""

    redis_url: Annotated[
        str,
        Meta(
            description="Where Redis is; if not set, the records of PostgreSQL are shown.",
            pattern="^(rediss?|unix)://",
            examples=["redis://:password@127.0.0.1:6379/0"],
        ),
    ] = ""


@app.command
async def show(line: str, /, *, as_json: Json = False) -> int:
    """Show what is used of a line's limits, of its account's and of the platform's by country.

    As the limiter holds it; or, where that knows nothing or is away, by the records of what was
    submitted. Nothing is taken by looking.

    Example: sluice limits show demo/+33698765432

    Parameters
    ----------
    line
        Its id, or ACCOUNT/SENDER.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        current = await configuration.load(connection)
        asked = found(current, line)
        met = [*usage.met_by(current, asked, of_platform=True)]
        used = await _used(connection, [each.name for each in met])
    shown = shapes.limits_shown(asked, met, used, datetime.now(UTC))
    if as_json:
        print(msgspec.json.encode(shown).decode())
    else:
        _print(shown)
    return exits.OK


async def _used(connection: Connection, names: list[str]) -> dict[str, usage.ScopeUse]:
    used: dict[str, usage.ScopeUse] = {}
    if url := settings.load(Memory).redis_url:
        async with AsyncExitStack() as stack:
            redis = redis_link.connect(url)
            stack.push_async_callback(redis.aclose)
            used = await usage.live(Permits(redis), await recorded.epoch(connection), names)
    if missing := [name for name in names if name not in used]:
        used |= await usage.recorded(connection, missing)
    return used


def _print(shown: shapes.LineUsage) -> None:
    table = rich.table.Table("limit of", "window", box=None)
    for heading in _NUMBERS:
        table.add_column(heading, justify="right")
    table.add_column("next return")
    table.add_column("by")
    for each in shown.limits:
        owner = each.scope.replace("_", " ") + (f" {each.country}" if each.country else "")
        for window in each.windows:
            numbers = ["-" if (n := getattr(window, h)) is None else f"{n:,}" for h in _NUMBERS]
            at = window.next_return_at
            returns = "" if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
            table.add_row(owner, window.window, *numbers, returns, each.source)
    rich.console.Console(highlight=False).print(table)
