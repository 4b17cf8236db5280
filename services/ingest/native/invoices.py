"""An account's invoices, and to whom they are made out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
import phonenumbers
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native import answers, queries, requests
from services.ingest.native.reads import reading
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.db import billing
from shared.db import invoices as stored
from shared.db.invoices import InvoiceDocument
from shared.ledger.invoices import Invoice, Language
from shared.shapes.invoice import InvoiceShown, shown
from shared.shapes.price import CountryCode
from shared.web import problems
from shared.web.problems import Problem, Refused

LIST_COUNT_MAX = 200
NAME_LENGTH_MAX = 200
ADDRESS_LINE_COUNT_MAX = 6
VAT_ID_LENGTH_MAX = 20

_Line = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]


class InvoicesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which invoices to list."""

    limit: Annotated[int, Meta(ge=1, le=LIST_COUNT_MAX)] = 50
    cursor: Annotated[str, Meta(description="The cursor of the page before.")] | UnsetType = UNSET


class InvoiceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which document of an invoice."""

    language: (
        Annotated[
            Literal["de", "en"], Meta(description="German or English. Default: the account's.")
        ]
        | UnsetType
    ) = UNSET


class InvoicePage(msgspec.Struct, frozen=True):
    """Invoices, the newest first; `cursor` leads to the next page and is null on the last."""

    invoices: list[InvoiceShown]
    cursor: str | None


class BillingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom invoices are made out from now on; those that were issued stay as they are."""

    name: _Line
    address: Annotated[list[_Line], Meta(min_length=1, max_length=ADDRESS_LINE_COUNT_MAX)]
    country: CountryCode
    vat_id: Annotated[str, Meta(min_length=1, max_length=VAT_ID_LENGTH_MAX)] | None = None
    language: Literal["de", "en"] = "en"


_decoder = msgspec.json.Decoder(BillingBody)


async def invoice_list(visit: Visit) -> web.Response:
    """A page of the account's invoices."""
    query = queries.read(visit.request, InvoicesQuery)
    before = None
    if query.cursor is not UNSET and (before := queries.uuid_of(query.cursor)) is None:
        detail = "Not a cursor that a page has given."
        raise Refused(problems.of(422, "invalid_cursor", detail, "cursor"))
    async with reading(visit) as opened:
        found = await stored.page(opened, visit.account_id, query.limit, before)
    cursor = None if len(found) < query.limit else str(found[-1].invoice_id)
    return answers.response(InvoicePage([*map(shown, found)], cursor))


async def invoice(visit: Visit) -> web.Response:
    """One invoice; 404 alike for another account's and for none."""
    return answers.response(shown(await _own(visit)))


async def _own(visit: Visit) -> Invoice:
    invoice_id = queries.uuid_of(visit.request.match_info["id"])
    found = None
    if invoice_id is not None:
        async with reading(visit) as opened:
            found = await stored.find(opened, visit.account_id, invoice_id)
    if found is None:
        raise Refused(problems.of(404, "no_such_invoice", "The account has no such invoice."))
    return found


async def invoice_document(visit: Visit) -> web.Response:
    """The invoice as PDF: made when it is first asked for in a language, and kept."""
    query = queries.read(visit.request, InvoiceQuery)
    found = await _own(visit)
    language = found.parties.buyer.language if query.language is UNSET else query.language
    kept = await _document(visit, found, language)
    return web.Response(
        body=kept.pdf,
        headers={
            "Content-Type": "application/pdf",
            "Content-Disposition": f'attachment; filename="{found.name}-{language}.pdf"',
            "ETag": f'"{kept.sha256.hex()}"',
            "Cache-Control": "private, max-age=31536000, immutable",
        },
    )


async def _document(visit: Visit, found: Invoice, language: Language) -> InvoiceDocument:
    async with reading(visit) as opened:
        kept = await stored.document(opened, found.invoice_id, language)
    if kept is not None:
        return kept
    # One at a time, in a thread of its own: it takes a tenth of a second of computing.
    async with visit.context.printing:
        pdf = await asyncio.to_thread(_print, found, language)
    async with visit.transaction() as opened:
        return await stored.keep_document(opened, found.invoice_id, language, pdf)


def _print(found: Invoice, language: Language) -> bytes:
    # Twenty megabytes of libraries, which most processes never need.
    from shared.invoices import document

    return document.pdf(found, language)


async def billing_details(visit: Visit) -> web.Response:
    """To whom the account's invoices are made out; 404 where nothing was said."""
    async with reading(visit) as opened:
        found = await billing.details(opened, visit.account_id)
    if found is None:
        detail = "Nothing was said yet: invoices are made out to the account's name."
        raise Refused(problems.of(404, "no_billing_details", detail))
    return answers.response(_told(found))


async def set_billing_details(visit: Visit) -> web.Response:
    """Invoices that are issued from now on are made out to this."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    if fault := _fault_of(body):
        return problems.response(fault)
    details = billing.BillingDetails(
        visit.account.name,
        body.name,
        tuple(body.address),
        body.country,
        body.vat_id,
        body.language,
    )
    async with visit.transaction() as opened:
        await billing.put(opened, details)
    return answers.response(_told(details))


def _fault_of(body: BillingBody) -> Problem | None:
    if body.country not in phonenumbers.SUPPORTED_REGIONS:
        detail = "Expected the two letters of a country (ISO 3166)."
        return problems.of(422, "invalid_country", detail, "country")
    lines = [("name", body.name), ("vat_id", body.vat_id or "")]
    lines += [(f"address[{place}]", line) for place, line in enumerate(body.address)]
    for field, line in lines:
        if not line.isprintable() or line != line.strip():
            detail = "Expected one line of text, without blanks at its ends."
            return problems.of(422, "invalid_value", detail, field)
    return None


def _told(details: billing.BillingDetails) -> BillingBody:
    return BillingBody(
        name=details.name,
        address=[*details.address],
        country=details.country,
        vat_id=details.vat_id,
        language="de" if details.language == "de" else "en",
    )
