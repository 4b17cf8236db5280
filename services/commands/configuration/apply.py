"""`sluice apply`: an operator's file into the database, after all of it was judged and shown."""

from __future__ import annotations

from pathlib import Path

from services.commands import database
from services.commands.arguments import Flag
from services.commands.configuration import difference, file
from shared.db import apply, configuration
from shared.db.connection import Connection
from shared.runtime import exits


async def run(path: Path, /, *, dry_run: Flag = False) -> int:
    """Load accounts, lines, prices, carriers, routes and limits from a TOML file.

    The whole file is checked and the difference shown before anything is written; running
    processes follow within two seconds. What the file does not name stays as it is, but the routes
    of a country it names are replaced.

    Example: sluice apply operator.toml --dry-run

    Parameters
    ----------
    path
        The file.
    dry_run
        Show the difference and write nothing.
    """
    text = _read(path)
    async with database.connected() as connection:
        await apply.lock(connection)
        current = await apply.read(connection)
        wanted, faults = file.read(text, current)
        if faults:
            raise exits.NotDone(exits.BAD_INPUT, *(f"{path}: {fault}" for fault in faults))
        found = difference.between(current, wanted)
        for line in difference.lines(found):
            print(line)
        if dry_run and found.changes:
            print("nothing was written (--dry-run)")
        elif found.changes:
            await _write(connection, found)
            print(f"applied {len(found.changes)} changes")
    return exits.OK


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise exits.NotDone(exits.BAD_INPUT, f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise exits.NotDone(exits.BAD_INPUT, f"{path}: is not UTF-8 text") from None


async def _write(connection: Connection, found: difference.Difference) -> None:
    async with connection.transaction():
        for change in found.changes:
            if change.after is not None:
                await apply.put(connection, change.after, change.before)
            elif isinstance(change.before, apply.Route):
                await apply.drop_route(connection, change.before)
        await configuration.bump(connection)
