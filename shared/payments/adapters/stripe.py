"""Stripe's Checkout, by Stripe's own library: the only file that knows its words.

The amount is held back when a card is entered (`capture_method` manual), charged by a capture, and
let go of by a cancellation. An amount is whole cents there. Sources: Stripe's API reference,
"Checkout Sessions", "Place a hold on a payment method", "Webhook signatures".
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import aiohttp
import msgspec
import stripe
from stripe.params.checkout import SessionCreateParams

from shared.ledger.deposits import Payment, PaymentCard, PaymentReview, PaymentState
from shared.payments.contract import (
    CALL_SECONDS,
    CHECKOUT_SECONDS,
    EVENT_AGE_SECONDS,
    Checkout,
    CheckoutOrder,
    ForgedEvent,
    PaymentDispute,
    PaymentEvent,
    PaymentRefused,
    ProviderMeans,
    ProviderUnavailable,
)

API_VERSION: Final = "2026-10-28.endive"
"""The one that these words are of, whatever the account's own is."""
ANSWER_BYTES_MAX: Final = 1024 * 1024
CONNECTIONS_MAX: Final = 16
MICRO_PER_CENT: Final = 10_000
_DEPOSIT: Final = "deposit_id"
_EXPANDED: Final = ["payment_intent.payment_method", "payment_intent.review"]


class _StripeCard(msgspec.Struct):
    fingerprint: str | None = None
    brand: str = ""
    last4: str = ""


class _Method(msgspec.Struct):
    card: _StripeCard | None = None


class _Review(msgspec.Struct):
    open: bool
    closed_reason: str | None = None


class _Intent(msgspec.Struct):
    id: str
    status: str
    currency: str
    amount_capturable: int = 0
    amount_received: int = 0
    payment_method: _Method | str | None = None
    review: _Review | str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class _Checkout(msgspec.Struct):
    id: str
    status: str | None = None
    url: str | None = None
    payment_intent: _Intent | str | None = None
    client_reference_id: str | None = None


class _Disputed(msgspec.Struct):
    id: str
    amount: int
    currency: str
    reason: str
    status: str
    payment_intent: str | None = None


class _Subject(msgspec.Struct):
    """What an event is about; of its many members those that lead to a deposit."""

    object: str = ""
    id: str = ""
    payment_intent: str | None = None
    client_reference_id: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _StripeEvent(msgspec.Struct):
    id: str
    type: str
    created: int
    data: _Data


_read_event = msgspec.json.Decoder(_StripeEvent).decode
_read_subject = msgspec.json.Decoder(_Subject).decode
_read_dispute = msgspec.json.Decoder(_Disputed).decode

_INTENT_STATES: Final = {
    "requires_capture": PaymentState.HELD,
    "succeeded": PaymentState.CHARGED,
    "canceled": PaymentState.CANCELED,
}
_REFUSING_REVIEWS: Final = frozenset({"refunded", "refunded_as_fraud", "disputed", "canceled"})
_DISPUTES_OVER: Final = frozenset({"won", "lost", "warning_closed", "prevented"})

Read = TypeVar("Read", bound=msgspec.Struct)


class _BoundedClient(stripe.AIOHTTPClient):
    """The library's client with a bound on what is read of an answer."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request; an answer that is too long is no answer."""
        content, status, answered = await self.request_stream_async(
            method, url, headers, post_data=post_data
        )
        body = bytearray()
        async for chunk in cast(AsyncIterator[bytes], content.iter_any()):
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise aiohttp.ClientPayloadError("the answer is too long")
        return bytes(body), status, answered


class StripeAdapter:
    """One account at Stripe."""

    name = "stripe"

    def __init__(self, means: ProviderMeans) -> None:
        stripe.enable_telemetry = False
        self._means = means
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX))
        url = means.url.rstrip("/")
        self._client = stripe.StripeClient(
            means.api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": url} if url else {},
            max_network_retries=0,
            http_client=_BoundedClient(
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS), session=self._session
            ),
        )

    async def open_checkout(self, order: CheckoutOrder) -> Checkout:
        """A Checkout Session; asked for again, it is the same."""
        session = await _answered(
            self._client.v1.checkout.sessions.create_async(
                self._form_of(order), {"idempotency_key": f"{order.deposit_id}-checkout"}
            ),
            _Checkout,
        )
        if session.url is None:
            raise PaymentRefused("no_url")
        return Checkout(session.id, session.url)

    def _form_of(self, order: CheckoutOrder) -> SessionCreateParams:
        expires_at = order.ordered_at + timedelta(seconds=CHECKOUT_SECONDS)
        mark = {_DEPOSIT: str(order.deposit_id)}
        return {
            "mode": "payment",
            "client_reference_id": str(order.deposit_id),
            "allowed_payment_method_types": ["card"],
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": order.amount_micro // MICRO_PER_CENT,
                        "product_data": {"name": "SMS deposit"},
                    },
                }
            ],
            "payment_intent_data": {"capture_method": "manual", "metadata": mark},
            "metadata": mark,
            "adaptive_pricing": {"enabled": False},
            "success_url": self._means.return_url,
            "cancel_url": self._means.return_url,
            "expires_at": int(expires_at.timestamp()),
        }

    async def find(self, session_id: str) -> Payment:
        """How the payment of a Checkout Session stands."""
        try:
            session = await _answered(
                self._client.v1.checkout.sessions.retrieve_async(session_id, {"expand": _EXPANDED}),
                _Checkout,
            )
        except PaymentRefused as refused:
            if refused.code == "resource_missing":
                return Payment(PaymentState.MISSING)
            raise
        return _payment_of(session)

    async def capture(self, payment_id: str, key: str) -> None:
        """Charge all that is held."""
        await _answered(
            self._client.v1.payment_intents.capture_async(payment_id, {}, {"idempotency_key": key}),
            _Intent,
        )

    async def cancel(self, payment_id: str, key: str) -> None:
        """Let go of what is held."""
        await _answered(
            self._client.v1.payment_intents.cancel_async(payment_id, {}, {"idempotency_key": key}),
            _Intent,
        )

    def read_event(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent | None:
        """What an event says. Raises ForgedEvent."""
        self._verify(headers.get("Stripe-Signature", ""), body)
        try:
            event = _read_event(body)
            subject = _read_subject(event.data.object)
            disputed = _read_dispute(event.data.object) if subject.object == "dispute" else None
        except (msgspec.DecodeError, ValueError) as error:
            raise ForgedEvent("it cannot be read") from error
        payment_id = subject.id if subject.object == "payment_intent" else subject.payment_intent
        deposit_id = _uuid(subject.metadata.get(_DEPOSIT) or subject.client_reference_id)
        if payment_id is None and deposit_id is None:
            return None
        return PaymentEvent(
            event_id=event.id,
            type=event.type,
            made_at=datetime.fromtimestamp(event.created, UTC),
            deposit_id=deposit_id,
            payment_id=payment_id,
            dispute=None if disputed is None else _dispute_of(disputed),
        )

    def _verify(self, header: str, body: bytes) -> None:
        for secret in self._means.event_secrets:
            try:
                stripe.WebhookSignature.verify_header(body, header, secret, EVENT_AGE_SECONDS)
            except (stripe.SignatureVerificationError, ValueError):
                continue
            return
        raise ForgedEvent("it is not signed by the provider, or was so too long ago")

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()


async def _answered(call: Awaitable[Any], kind: type[Read]) -> Read:
    """The answer to a call as far as it is needed. Raises ProviderUnavailable or PaymentRefused."""
    async with _translated():
        answer = await call
        return msgspec.convert(answer.to_dict(), kind)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (stripe.InvalidRequestError, stripe.CardError) as error:
        raise PaymentRefused(error.code or "refused") from None
    except (stripe.StripeError, TimeoutError, aiohttp.ClientError, OSError) as error:
        raise ProviderUnavailable(type(error).__name__) from None
    except msgspec.ValidationError:
        raise ProviderUnavailable("an answer of another shape") from None


def _payment_of(session: _Checkout) -> Payment:
    intent = session.payment_intent
    if isinstance(intent, _Intent) and intent.status in _INTENT_STATES:
        state = _INTENT_STATES[intent.status]
        cents = (
            intent.amount_received if state is PaymentState.CHARGED else intent.amount_capturable
        )
        return Payment(
            state,
            intent.id,
            cents * MICRO_PER_CENT,
            intent.currency.upper(),
            _card_of(intent.payment_method),
            _review_of(intent.review),
        )
    return Payment(PaymentState.EXPIRED if session.status == "expired" else PaymentState.OPEN)


def _card_of(method: _Method | str | None) -> PaymentCard | None:
    card = method.card if isinstance(method, _Method) else None
    if card is None or not card.fingerprint:
        return None
    # What is stored of it is ours to bound: a fingerprint is opaque, the rest is shown.
    digits = card.last4 if card.last4.isascii() and card.last4.isdecimal() else ""
    fingerprint = hashlib.sha256(card.fingerprint.encode()).hexdigest()
    return PaymentCard(fingerprint, card.brand[:32], digits[-4:])


def _review_of(review: _Review | str | None) -> PaymentReview:
    if not isinstance(review, _Review):
        return PaymentReview.NONE
    if review.open:
        return PaymentReview.OPEN
    if review.closed_reason == "approved":
        return PaymentReview.APPROVED
    return (
        PaymentReview.REFUSED if review.closed_reason in _REFUSING_REVIEWS else PaymentReview.NONE
    )


def _dispute_of(found: _Disputed) -> PaymentDispute:
    return PaymentDispute(
        found.id,
        found.amount * MICRO_PER_CENT,
        found.currency.upper(),
        found.reason,
        found.status,
        found.status in _DISPUTES_OVER,
    )


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


OPEN: Final = StripeAdapter
"""What the registry opens."""
