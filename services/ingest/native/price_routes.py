"""Paths of what messages cost: the list, the calculator, asking for a country, spending."""

from __future__ import annotations

from services.ingest.native import calculator, price_list, spending, support
from services.ingest.native.route import BODY_REFUSALS, Route
from services.ingest.web.entrance import Passage, Visit
from services.ingest.web.showcase import PriceList
from shared.access.rights import AccessScope
from shared.shapes.spending import SpendingStanding

OPEN_ROUTES: tuple[Route[Passage], ...] = (
    Route(
        "GET",
        "/v1/prices",
        price_list.price_list,
        "What a segment costs by country, now and as far as it is announced; needs no token",
        {200: PriceList, 304: None},
        (400, 422),
        query=price_list.PriceQuery,
    ),
)

ROUTES: tuple[Route[Visit], ...] = (
    Route(
        "POST",
        "/v1/calculator",
        calculator.calculate,
        "How many messages an amount pays for, or what messages cost; nothing is sent or charged",
        {200: calculator.Calculated},
        BODY_REFUSALS,
        needs=AccessScope.READ,
        body=calculator.CalculatorBody,
    ),
    Route(
        "POST",
        "/v1/support-requests",
        support.ask_support,
        "Ask the operator for a country that is not offered, or for something else",
        {201: support.SupportCase, 200: support.SupportCase},
        (409, *BODY_REFUSALS),
        needs=AccessScope.ADMIN,
        body=support.SupportBody,
    ),
    Route(
        "GET",
        "/v1/support-requests",
        support.support_list,
        "What the account has asked for, and what it was answered",
        {200: support.SupportCases},
        (),
        needs=AccessScope.READ,
    ),
    Route(
        "GET",
        "/v1/spending",
        spending.spending,
        "What the account may spend, what it has spent, and what the guard lets pass",
        {200: SpendingStanding},
        (),
        needs=AccessScope.READ,
    ),
    Route(
        "PUT",
        "/v1/spending",
        spending.set_spending,
        "Set the account's own caps on spending, all at once",
        {200: SpendingStanding},
        BODY_REFUSALS,
        needs=AccessScope.ADMIN,
        body=spending.SpendingBody,
    ),
)
