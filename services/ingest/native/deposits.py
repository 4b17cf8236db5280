"""Putting money in, step by step (M34 to M39); what is in the wallets. Other accounts' deposits are
not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET

from services.ingest.native import answers, deposit_shapes, queries, requests
from services.ingest.native.deposit_shapes import DepositBody, DepositConfirmation
from services.ingest.settling import Settler
from services.ingest.web import auth, bodies
from services.ingest.web.entrance import Visit
from shared.access import tokens
from shared.db import cards, connection, invoices, ledger
from shared.db import deposits as stored
from shared.db import terms as stored_terms
from shared.db import tokens as stored_tokens
from shared.db.deposits import StoredDeposit, TermsAccepted
from shared.ledger import money
from shared.ledger.deposits import STEPS, DepositState
from shared.ledger.holdings import DEPOSIT_MAX_MICRO, DEPOSIT_MIN_MICRO, DEPOSIT_STEP_MICRO
from shared.payments import contract
from shared.runtime import ids
from shared.shapes import deposit as shapes
from shared.web import problems
from shared.web.problems import Problem, Refused

_GREATEST = UUID(int=2**128 - 1)
_NEXT_STEPS = {
    DepositState.DRAFT: "confirm its details",
    DepositState.DETAILS_CONFIRMED: "choose its method",
    DepositState.METHOD_CHOSEN: "order it",
}

Body = TypeVar("Body", bound=msgspec.Struct)


async def balance(visit: Visit) -> web.Response:
    """What the account's wallets hold, and what is on its way."""
    async with visit.transaction() as opened:
        held = await ledger.holdings(opened, visit.account_id)
        pending = await stored.pending(opened, visit.account_id)
    return answers.response(
        deposit_shapes.Balance(
            amount=money.format_amount(held.spendable_micro),
            currency=held.active,
            pending=[answers.balance(micro, currency) for currency, micro in pending.items()],
            dormant=[
                answers.balance(micro, currency) for currency, micro in held.dormant_micro.items()
            ],
        )
    )


async def begin_deposit(visit: Visit) -> web.Response:
    """The first step: an amount and a currency; 201, or 200 for the same under the same key."""
    key = bodies.idempotency_key(visit.request)
    body = await _read(visit, deposit_shapes.deposit_decoder)
    amount_micro = _amount_micro(body)
    deposit_id = ids.uuid7()
    async with visit.transaction() as opened:
        found = await stored.begin(
            opened, deposit_id, visit.account_id, body.currency, amount_micro, key
        )
    if found is None:
        detail = (
            f"The account has {stored.UNFINISHED_COUNT_MAX} deposits that it has not ordered: order"
            " one of them, or wait until they expire."
        )
        raise Refused(problems.of(409, "too_many_deposits", detail))
    if (found.currency, found.amount_micro) != (body.currency, amount_micro):
        detail = "This idempotency key was used for another deposit."
        raise Refused(problems.of(422, "key_reused", detail, "Idempotency-Key"))
    return answers.response(shapes.shown(found), 201 if found.deposit_id == deposit_id else 200)


def _amount_micro(body: DepositBody | DepositConfirmation) -> int:
    """Raises Refused."""
    if body.currency not in money.CURRENCIES:
        detail = f"A deposit is in {', '.join(money.CURRENCIES[:-1])} or {money.CURRENCIES[-1]}."
        raise Refused(problems.of(422, "unsupported_currency", detail, "currency"))
    try:
        amount_micro = money.parse_amount(body.amount)
    except money.InvalidAmount as error:
        detail = problems.sentence(str(error))
        raise Refused(problems.of(422, "invalid_amount", detail, "amount")) from None
    if amount_micro < DEPOSIT_MIN_MICRO:
        detail = f"The smallest deposit is 1.00 {body.currency}."
        raise Refused(problems.of(422, "below_minimum", detail, "amount"))
    if amount_micro > DEPOSIT_MAX_MICRO:
        detail = f"The largest deposit is {money.format_amount(DEPOSIT_MAX_MICRO)}."
        raise Refused(problems.of(422, "above_maximum", detail, "amount"))
    if amount_micro % DEPOSIT_STEP_MICRO:
        detail = "A card is charged whole cents: two places at most."
        raise Refused(problems.of(422, "not_whole_cents", detail, "amount"))
    return amount_micro


async def _read(visit: Visit, decoder: msgspec.json.Decoder[Body]) -> Body:
    """The body. Raises Refused."""
    body = requests.decode(decoder, await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX))
    if isinstance(body, Problem):
        raise Refused(body)
    return body


def _id_of(visit: Visit) -> UUID:
    deposit_id = queries.uuid_of(visit.request.match_info["id"])
    if deposit_id is None:
        raise _missing()
    return deposit_id


def _missing() -> Refused:
    return Refused(problems.of(404, "no_such_deposit", "The account has no deposit with this id."))


async def _get(opened: connection.Connection, visit: Visit) -> StoredDeposit:
    found = await stored.get(opened, visit.account_id, _id_of(visit))
    if found is None:
        raise _missing()
    return found


def _is_past(found: StoredDeposit, step: DepositState) -> bool:
    """Whether this step was made, and the deposit has gone on or waits there."""
    state = DepositState(found.state)
    if state in STEPS:
        return STEPS.index(state) >= STEPS.index(step)
    return found.ordered_at is not None


async def _step(
    visit: Visit,
    step: DepositState,
    make: Callable[[connection.Connection, StoredDeposit], Awaitable[StoredDeposit | None]],
) -> StoredDeposit:
    """The deposit after a step; made before, it stays as it is. Raises Refused."""
    async with visit.transaction() as opened:
        found = await _get(opened, visit)
        made = await make(opened, found)
        if made is None:
            made = await _get(opened, visit)
            if not _is_past(made, step):
                raise Refused(_wrong_step(made))
    return made


def _wrong_step(found: StoredDeposit) -> Problem:
    word = _NEXT_STEPS.get(DepositState(found.state))
    if word is None:
        return problems.of(409, "deposit_ended", f"The deposit is {found.state}: begin another.")
    if found.expires_at <= datetime.now(UTC):
        return problems.of(409, "deposit_ended", "The deposit has expired: begin another.")
    return problems.of(409, "wrong_step", f"The deposit is at another step: {word} first.")


async def confirm_details(visit: Visit) -> web.Response:
    """The second step: amount and currency once more, which must be the same."""
    body = await _read(visit, deposit_shapes.confirmation_decoder)
    amount_micro = _amount_micro(body)

    async def make(opened: connection.Connection, found: StoredDeposit) -> StoredDeposit | None:
        if (found.currency, found.amount_micro) != (body.currency, amount_micro):
            amount = money.format_amount(found.amount_micro)
            detail = f"The deposit is of {amount} {found.currency}: confirm that, or begin another."
            raise Refused(problems.of(409, "details_differ", detail, "amount"))
        return await stored.confirm_details(opened, visit.account_id, found.deposit_id)

    made = await _step(visit, DepositState.DETAILS_CONFIRMED, make)
    return answers.response(shapes.shown(made))


async def choose_method(visit: Visit) -> web.Response:
    """The third step: by card."""
    body = await _read(visit, deposit_shapes.method_decoder)

    async def make(opened: connection.Connection, found: StoredDeposit) -> StoredDeposit | None:
        _settler(visit)
        return await stored.choose_method(opened, visit.account_id, found.deposit_id, body.method)

    made = await _step(visit, DepositState.METHOD_CHOSEN, make)
    return answers.response(shapes.shown(made))


def _settler(visit: Visit) -> Settler:
    if visit.context.settler is None:
        detail = "The operator of this platform takes no card payments."
        raise Refused(problems.of(409, "no_card_payments", detail, "method"))
    return visit.context.settler


async def order_deposit(visit: Visit) -> web.Response:
    """The last step: the order, with the box of the terms ticked (M38, M39). Then the answer leads
    to the page of the provider on which the card is entered. It may be asked again: there is one
    order, and one page."""
    body = await _read(visit, deposit_shapes.order_decoder)
    if not body.accept_terms:
        detail = "The order needs the box ticked: accept the terms of GET /v1/terms."
        raise Refused(problems.of(422, "terms_not_accepted", detail, "accept_terms"))
    accepted_by = await _who(visit)

    async def make(opened: connection.Connection, found: StoredDeposit) -> StoredDeposit | None:
        if _is_past(found, DepositState.ORDERED):
            return None
        settler = _settler(visit)
        current = await stored_terms.current(opened)
        if body.terms_version != current.version:
            detail = f"The terms in force are of version {current.version}: see GET /v1/terms."
            raise Refused(problems.of(409, "terms_outdated", detail, "terms_version"))
        if not await invoices.can_issue(opened, visit.account_id):
            raise _not_invoiced()
        accepted = TermsAccepted(current.version, accepted_by)
        return await stored.order(
            opened, visit.account_id, found.deposit_id, accepted, settler.provider.name
        )

    made = await _step(visit, DepositState.ORDERED, make)
    if made.state == DepositState.ORDERED and made.session_id is None:
        try:
            await _settler(visit).open_checkout(made)
        except contract.ProviderUnavailable:
            raise problems.unavailable() from None
        async with visit.transaction() as opened:
            made = await _get(opened, visit)
    return answers.response(shapes.shown(made))


def _not_invoiced() -> Refused:
    detail = "The operator has not set up invoices for an account like this: ask for it."
    return Refused(problems.of(409, "no_invoices", detail))


async def _who(visit: Visit) -> str:
    """Who has ticked the box, as it is recorded: the user, or the token."""
    if visit.caller.user_id is not None:
        return f"user {visit.caller.user_id}"
    presented = auth.bearer(visit.request.headers.get("Authorization", ""))
    if presented is None:
        raise AssertionError("nobody comes in without a token")
    hashes = tokens.hashes(presented.token, visit.context.keys)
    async with visit.transaction() as opened:
        found = await stored_tokens.find(opened, hashes)
    names = [f"token {each.token_id}" for each in found.values() if each.token_id is not None]
    return names[0] if names else "token"


async def deposit(visit: Visit) -> web.Response:
    """One deposit; 404 alike for another account's and for none."""
    async with visit.transaction() as opened:
        found = await _get(opened, visit)
    return answers.response(shapes.shown(found))


async def deposit_list(visit: Visit) -> web.Response:
    """A page of the account's deposits, newest first."""
    query = queries.read(visit.request, deposit_shapes.DepositQuery)
    before: UUID | None = _GREATEST
    if query.cursor is not UNSET and (before := queries.uuid_of(query.cursor)) is None:
        detail = "Not a cursor that a page has given."
        raise Refused(problems.of(422, "invalid_cursor", detail, "cursor"))
    async with visit.transaction() as opened:
        found = await stored.page(opened, visit.account_id, before or _GREATEST, query.limit)
    cursor = str(found[-1].deposit_id) if len(found) == query.limit else None
    return answers.response(deposit_shapes.DepositPage([*map(shapes.shown, found)], cursor))


async def card_list(visit: Visit) -> web.Response:
    """The cards that the account has paid with."""
    async with visit.transaction() as opened:
        found = await cards.of_account(opened, visit.account_id, deposit_shapes.CARD_COUNT_MAX)
    return answers.response(
        deposit_shapes.CardList(
            [
                deposit_shapes.Card(
                    id=each.card_id,
                    brand=each.brand,
                    last_digits=each.last_digits,
                    created_at=each.created_at,
                    validated_at=each.validated_at,
                )
                for each in found
            ]
        )
    )


async def terms(visit: Visit) -> web.Response:
    """The text that an order agrees to."""
    async with visit.transaction() as opened:
        found = await stored_terms.current(opened)
    return answers.response(
        deposit_shapes.CurrentTerms(
            version=found.version,
            text_en=found.text_en,
            text_de=found.text_de,
            published_at=found.published_at,
        )
    )
