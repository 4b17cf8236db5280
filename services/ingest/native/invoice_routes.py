"""Paths of invoices and of whom they are made out to."""

from __future__ import annotations

from services.ingest.native import invoices
from services.ingest.native.route import BODY_REFUSALS, Route
from services.ingest.web.entrance import Visit
from shared.access.rights import AccessScope
from shared.shapes.invoice import InvoiceShown

ROUTES: tuple[Route[Visit], ...] = (
    Route(
        "GET",
        "/v1/invoices",
        invoices.invoice_list,
        "The account's invoices, newest first: one for each deposit",
        {200: invoices.InvoicePage},
        (400, 422),
        needs=AccessScope.READ,
        query=invoices.InvoicesQuery,
    ),
    Route(
        "GET",
        "/v1/invoices/{id}",
        invoices.invoice,
        "One invoice",
        {200: InvoiceShown},
        (404,),
        needs=AccessScope.READ,
    ),
    Route(
        "GET",
        "/v1/invoices/{id}/pdf",
        invoices.invoice_document,
        "The invoice as PDF, in German or English: the same bytes whenever it is asked for",
        {200: None},
        (400, 404, 422),
        needs=AccessScope.READ,
        query=invoices.InvoiceQuery,
    ),
    Route(
        "GET",
        "/v1/billing",
        invoices.billing_details,
        "To whom invoices are made out",
        {200: invoices.BillingBody},
        (404,),
        needs=AccessScope.READ,
    ),
    Route(
        "PUT",
        "/v1/billing",
        invoices.set_billing_details,
        "Say to whom invoices are made out from now on",
        {200: invoices.BillingBody},
        BODY_REFUSALS,
        needs=AccessScope.ADMIN,
        body=invoices.BillingBody,
    ),
)
