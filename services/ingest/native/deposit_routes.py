"""The paths of an account's money."""

from __future__ import annotations

from services.ingest.native import deposit_shapes, deposits
from services.ingest.native.route import BODY_REFUSALS, Route
from services.ingest.web.entrance import Visit
from shared.access.rights import AccessScope
from shared.shapes.deposit import Deposit

_READ, _ADMIN = AccessScope.READ, AccessScope.ADMIN

ROUTES: tuple[Route[Visit], ...] = (
    Route(
        "GET",
        "/v1/balance",
        deposits.balance,
        "What can be spent, what is pending, and what lies in other currencies",
        {200: deposit_shapes.Balance},
        (),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/terms",
        deposits.terms,
        "The text that an order agrees to",
        {200: deposit_shapes.CurrentTerms},
        (),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/cards",
        deposits.card_list,
        "The cards that the account has paid with",
        {200: deposit_shapes.CardList},
        (),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/deposits",
        deposits.deposit_list,
        "The account's deposits, newest first",
        {200: deposit_shapes.DepositPage},
        (400, 422),
        needs=_READ,
        query=deposit_shapes.DepositQuery,
    ),
    Route(
        "POST",
        "/v1/deposits",
        deposits.begin_deposit,
        "Begin a deposit: step 1, an amount and a currency",
        {201: Deposit, 200: Deposit},
        (409, *BODY_REFUSALS),
        needs=_ADMIN,
        body=deposit_shapes.DepositBody,
        has_key=True,
    ),
    Route(
        "GET",
        "/v1/deposits/{id}",
        deposits.deposit,
        "One deposit and where it stands",
        {200: Deposit},
        (404,),
        needs=_READ,
    ),
    Route(
        "POST",
        "/v1/deposits/{id}/confirm-details",
        deposits.confirm_details,
        "Step 2: confirm the details of the payment",
        {200: Deposit},
        (404, 409, *BODY_REFUSALS),
        needs=_ADMIN,
        body=deposit_shapes.DepositConfirmation,
    ),
    Route(
        "POST",
        "/v1/deposits/{id}/method",
        deposits.choose_method,
        "Step 3: choose how to pay",
        {200: Deposit},
        (404, 409, *BODY_REFUSALS),
        needs=_ADMIN,
        body=deposit_shapes.DepositMethod,
    ),
    Route(
        "POST",
        "/v1/deposits/{id}/order",
        deposits.order_deposit,
        "Step 4: accept the terms and order; the answer leads to where the card is entered",
        {200: Deposit},
        (404, 409, *BODY_REFUSALS),
        needs=_ADMIN,
        body=deposit_shapes.DepositOrder,
    ),
)
