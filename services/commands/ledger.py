"""`sluice ledger`: the chain of hashes over transfers, and whether it still fits."""

from __future__ import annotations

import json

import cyclopts

from services.commands import database
from services.commands.arguments import Json
from shared.db import audit, ledger_links
from shared.runtime import exits

app = cyclopts.App(name="ledger", help="The chain of hashes over all movements of money.")


@app.command
async def verify(*, expect: str = "", as_json: Json = False) -> int:
    """Go through the chain over all transfers and name the first row that was touched.

    Each day that has ended is closed by a link; what was moved since is not covered yet.

    Example: sluice ledger verify --expect 41:9f2c...

    Parameters
    ----------
    expect
        A link and its hash as `ledger head` has printed them, kept elsewhere: the chain must still
        have that link, so that it cannot have been written anew.
    as_json
        Print JSON, for programs.
    """
    number, _, wanted = expect.partition(":")
    if expect and not (number.isdecimal() and wanted):
        raise exits.NotDone(exits.BAD_INPUT, "--expect: a link's number, a colon and its hash")
    async with database.connected(statement_seconds=audit.STATEMENT_SECONDS) as connection:
        found = await ledger_links.verify(connection)
        expected = None
        if expect and found.broken is None:
            expected = (await ledger_links.verify(connection, int(number))).head
    fault = None
    if found.broken is not None:
        fault = f"link {found.broken.link} of {found.broken.day}: {found.broken.fault}"
        if found.broken.transfer_id is not None:
            fault = f"transfer {found.broken.transfer_id}, {fault}"
    elif expect and (
        expected is None or f"{expected.link}:{expected.sha256.hex()}" != expect.lower()
    ):
        fault = f"link {number} is not the one that was expected: the chain was written anew"
    if as_json:
        shown = {
            "ok": fault is None,
            "links": found.link_count,
            "transfers": found.transfer_count,
            "fault": fault,
            "transfer": found.broken.transfer_id if found.broken else None,
        }
        print(json.dumps(shown))
    else:
        print(f"{found.link_count} links over {found.transfer_count:,} transfers fit")
        print("ledger: untouched" if fault is None else f"ledger: TOUCHED: {fault}")
    return exits.OK if fault is None else exits.FAILED


@app.command
async def head() -> int:
    """Print the newest link and its hash, to be kept where nobody who may write the database can.

    Example: sluice ledger head >> /mnt/elsewhere/ledger
    """
    async with database.connected() as connection:
        found = await ledger_links.last(connection)
    if found is None:
        raise exits.NotDone(exits.FAILED, "no day has been closed yet")
    print(f"{found.link}:{found.sha256.hex()} {found.day}")
    return exits.OK
