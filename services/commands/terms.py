"""`sluice terms`: the text that payers agree to with an order."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import cyclopts

from services.commands import database
from shared.db import terms
from shared.runtime import exits

TEXT_LENGTH_MAX = 20_000

app = cyclopts.App(name="terms", help="The text that payers agree to with an order.")


@app.command
async def show() -> int:
    """Print the terms that are in force.

    Example: sluice terms show
    """
    async with database.connected() as connection:
        found = await terms.current(connection)
    print(f"version {found.version}, since {found.published_at.isoformat(timespec='seconds')}")
    print(f"\n{found.text_en}\n\n{found.text_de}")
    return exits.OK


@app.command
async def publish(version: str, /, *, english: Path, german: Path) -> int:
    """Put a new version in force; orders under the one before are refused from now on.

    Example: sluice terms publish 2027-01 --english terms.en.txt --german terms.de.txt

    Parameters
    ----------
    version
        A new name: letters, digits, points, dashes, at most 32.
    english
        A file with the text in English.
    german
        A file with the text in German.
    """
    texts = [_read(path) for path in (english, german)]
    async with database.connected() as connection:
        try:
            await terms.publish(connection, version, *texts)
        except asyncpg.UniqueViolationError:
            raise exits.NotDone(
                exits.BAD_INPUT, f"VERSION: {version} is there, and is never changed"
            ) from None
        except asyncpg.CheckViolationError:
            raise exits.NotDone(
                exits.BAD_INPUT, "VERSION: letters, digits, points, dashes, at most 32"
            ) from None
    print(f"in force: {version}")
    return exits.OK


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise exits.NotDone(exits.BAD_INPUT, f"{path}: no file of UTF-8 text") from None
    if not text or len(text) > TEXT_LENGTH_MAX or "\0" in text:
        raise exits.NotDone(exits.BAD_INPUT, f"{path}: 1 to {TEXT_LENGTH_MAX} characters of text")
    return text
