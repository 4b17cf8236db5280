"""`sluice invoice`: what was issued to whom, and the documents."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import msgspec
import rich.console
import rich.markup
import rich.table
from cyclopts import Parameter, validators

from services.commands import database
from services.commands.arguments import Json
from shared.db import invoices
from shared.db.connection import Connection
from shared.invoices import document
from shared.ledger import money
from shared.ledger.invoices import Invoice, Language
from shared.runtime import exits
from shared.shapes.invoice import shown

app = cyclopts.App(name="invoice", help="Invoices: what was issued to whom, and the documents.")

_NAME = re.compile(r"([A-Z0-9]{1,8})-([0-9]{4})-([0-9]{6,9})")


@app.command(name="list")
async def show_all(
    account: str | None = None,
    /,
    *,
    year: int | None = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=100_000))] = 100,
    as_json: Json = False,
) -> int:
    """List invoices, the newest first.

    Example: sluice invoice list demo --year 2030

    Parameters
    ----------
    account
        Of this account alone.
    year
        Of this year alone, by the legal entity's clock.
    limit
        How many to show at most.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        found = await invoices.every(connection, limit, account, year)
    if as_json:
        print(msgspec.json.encode([shown(each) for each in found]).decode())
        return exits.OK
    table = rich.table.Table("number", "day", "buyer", "currency", box=None)
    for heading in ("net", "VAT", "total"):
        table.add_column(heading, justify="right")
    for each in found:
        buyer = rich.markup.escape(each.parties.buyer.name)
        amounts = (each.net_micro, each.vat_micro, each.gross_micro)
        told = (each.name, each.issued_on.isoformat(), buyer, each.currency)
        table.add_row(*told, *map(money.format_amount, amounts))
    rich.console.Console(highlight=False).print(table)
    return exits.OK


@app.command
async def show(
    number: str,
    /,
    *,
    pdf: Path | None = None,
    language: Literal["de", "en"] | None = None,
) -> int:
    """Show an invoice as JSON, or write its document to a file.

    The document is made when it is first asked for in a language; from then on it is the same.

    Example: sluice invoice show SLUICE-2030-000012 --pdf invoice.pdf --language de

    Parameters
    ----------
    number
        The invoice's number.
    pdf
        Where to write the document.
    language
        German or English; its buyer's if it is left out.
    """
    async with database.connected() as connection:
        found = await _find(connection, number)
        if pdf is None:
            print(msgspec.json.format(msgspec.json.encode(shown(found)), indent=2).decode())
            return exits.OK
        kept = await _document(connection, found, language or found.parties.buyer.language)
    _write(pdf, kept.pdf)
    print(f"{pdf}: {len(kept.pdf)} bytes, SHA-256 {kept.sha256.hex()}")
    return exits.OK


def _write(path: Path, pdf: bytes) -> None:
    try:
        path.write_bytes(pdf)
    except OSError as error:
        raise exits.NotDone(exits.FAILED, f"{path}: {error.strerror}") from None


async def _find(connection: Connection, number: str) -> Invoice:
    named = _NAME.fullmatch(number)
    found = None
    if named is not None:
        found = await invoices.find_named(connection, named[1], int(named[2]), int(named[3]))
    if found is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no invoice {number!r}")
    return found


async def _document(
    connection: Connection, found: Invoice, language: Language
) -> invoices.InvoiceDocument:
    kept = await invoices.document(connection, found.invoice_id, language)
    if kept is None:
        made = document.pdf(found, language)
        kept = await invoices.keep_document(connection, found.invoice_id, language, made)
    if hashlib.sha256(kept.pdf).digest() != kept.sha256:
        raise exits.NotDone(exits.FAILED, f"the document of {found.name} is not what was kept")
    return kept
