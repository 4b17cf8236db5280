"""`sluice apply`: an operator's file into the database, after all of it was judged and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.commands import database
from services.commands.arguments import Flag
from services.commands.configuration import carriers, difference, file
from services.commands.tokens import Key
from shared.access.keys import Keys
from shared.access.vault import Vault
from shared.carriers import credentials
from shared.db import apply, carrier_settings, configuration, routes
from shared.db.connection import Connection
from shared.runtime import exits, settings


async def run(path: Path, /, *, dry_run: Flag = False) -> int:
    """Load accounts, lines, prices, carriers, routes and limits from a TOML file.

    The whole file is checked and the difference shown before anything is written; running
    processes follow within two seconds. What the file does not name stays as it is, but the routes
    of a country it names are replaced.

    A carrier's credentials are stored sealed under SLUICE_SECRET_KEY. A file that holds one must be
    readable by its owner alone (chmod 600); `password_file` and `password_env` keep it out:
    docs/carrier-secrets.md.

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
        literals = [place for row in wanted for place in _literals(row)]
        if literals and carriers.is_open_to_others(path):
            places = ", ".join(literals)
            faults.append(f"others may read this file, which holds {places}: chmod 600 {path}")
        if faults:
            raise exits.NotDone(exits.BAD_INPUT, *(f"{path}: {fault}" for fault in faults))
        is_sealing = bool(literals) and await carrier_settings.are_sealed(connection)
        vault = _vault(current, wanted, is_sealing=is_sealing)
        if vault is not None:
            current = {key: _opened(row, vault) for key, row in current.items()}
        found = difference.between(current, wanted)
        for line in difference.lines(found):
            print(line)
        if dry_run and found.changes:
            print("nothing was written (--dry-run)")
        elif found.changes:
            await _write(connection, found, vault if is_sealing else None)
            print(f"applied {len(found.changes)} changes")
    return exits.OK


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise exits.NotDone(exits.BAD_INPUT, f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise exits.NotDone(exits.BAD_INPUT, f"{path}: is not UTF-8 text") from None


def _literals(row: apply.Row) -> list[str]:
    """Where a row holds a credential in clear, as an operator finds it."""
    if not isinstance(row, apply.Carrier):
        return []
    return [f"{place} of carrier {row.name}" for place in carriers.literals(row)]


def _vault(current: apply.Rows, wanted: Sequence[apply.Row], *, is_sealing: bool) -> Vault | None:
    """What seals and opens credentials, where there are any. Raises SettingsError without a key."""
    before = [current.get(row.key) for row in wanted]
    has_sealed = any(
        credentials.has_sealed(row.settings) for row in before if isinstance(row, apply.Carrier)
    )
    if not (is_sealing or has_sealed):
        return None
    return Vault(Keys.read(settings.load(Key).secret_key))


def _opened(row: apply.Row, vault: Vault) -> apply.Row:
    return carriers.opened(row, vault) if isinstance(row, apply.Carrier) else row


async def _write(connection: Connection, found: difference.Difference, vault: Vault | None) -> None:
    async with connection.transaction():
        await apply.lock_accounts(connection, (each.after for each in found.changes if each.after))
        for change in found.changes:
            row = change.after
            if vault is not None and isinstance(row, apply.Carrier):
                row = carriers.sealed(row, vault)
            if row is not None:
                await apply.put(connection, row, change.before)
            elif isinstance(change.before, apply.Route):
                await routes.drop(connection, change.before)
        await configuration.bump(connection)
