"""The provider's HTTP side: the calls of its API that the product makes, the page on which a card
is entered, and its events, signed. No card's number is entered here either: a card is a name."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.simulator.options import Options
from services.simulator.payment_books import (
    CallRefused,
    PaymentBooks,
    PaymentObject,
    SimulatedPayment,
)

PREFIX: Final = "/payments"
TRY_COUNT_MAX: Final = 8
EVENT_SECONDS: Final = 5.0
EVENTS_WAITING_MAX: Final = 10_000
REMEMBERED_KEYS_MAX: Final = 100_000
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
_PRICE: Final = "line_items[0][price_data]"
_INTENT: Final = "payment_intent_data"


class PaymentFace:
    """The provider over HTTP. Events go out in the order they come in, each until it is taken."""

    def __init__(
        self, wanted: Options, for_operators: Callable[[Handler], Handler], client: _Clients
    ) -> None:
        self._options = wanted
        self._client = client
        self._events: asyncio.Queue[bytes] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._sender: asyncio.Task[None] | None = None
        self._answered: dict[str, tuple[bytes, int, bytes]] = {}
        self._lost_answers = 0
        self._faults = 0
        self._number = 0
        self.books = PaymentBooks(self._tell)
        self.routes = [
            web.post(f"{PREFIX}/v1/checkout/sessions", self._api(self._open)),
            web.get(f"{PREFIX}/v1/checkout/sessions/{{id}}", self._api(self._session)),
            web.post(f"{PREFIX}/v1/payment_intents/{{id}}/capture", self._api(self._capture)),
            web.post(f"{PREFIX}/v1/payment_intents/{{id}}/cancel", self._api(self._cancel)),
            web.get(f"{PREFIX}/checkout/{{id}}", self._page),
            web.post(f"{PREFIX}/checkout/{{id}}", self._pay),
            web.post(f"{PREFIX}/simulator/{{what}}", for_operators(self._control)),
            web.get(f"{PREFIX}/simulator/books", for_operators(self._show)),
        ]

    def start(self) -> None:
        """Begin to send events."""
        self._sender = asyncio.get_running_loop().create_task(self._send())

    async def close(self) -> None:
        """Send no more of them."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    # The API ---------------------------------------------------------------------------------

    def _api(self, call: Callable[[web.Request, Mapping[str, str]], PaymentObject]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                self._check(request)
                form = {name: str(value) for name, value in (await request.post()).items()}
                status, body = self._once(request, form, call)
            except CallRefused as refused:
                status, body = refused.status, _fault(refused)
            if self._lost_answers and request.method == "POST":
                # It was done; whoever asked never hears of it.
                self._lost_answers -= 1
                if request.transport is not None:
                    request.transport.abort()
            return web.Response(status=status, body=body, content_type="application/json")

        return answer

    def _check(self, request: web.Request) -> None:
        if not hmac.compare_digest(
            request.headers.get("Authorization", "").encode(),
            f"Bearer {self._options.payments_key}".encode(),
        ):
            raise CallRefused(401, "api_key_invalid", "Invalid API key.")
        if not _VERSION.fullmatch(request.headers.get("Stripe-Version", "")):
            raise CallRefused(400, "version_missing", "Say which version you speak.")
        if self._faults:
            self._faults -= 1
            raise CallRefused(500, "api_error", "Something went wrong on our end.")

    def _once(
        self,
        request: web.Request,
        form: Mapping[str, str],
        call: Callable[[web.Request, Mapping[str, str]], PaymentObject],
    ) -> tuple[int, bytes]:
        """The answer of the first time under this key, if there was one."""
        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or key is None:
            return 200, msgspec.json.encode(call(request, form))
        print_ = hashlib.sha256(msgspec.json.encode([request.path, sorted(form.items())])).digest()
        if key in self._answered:
            known, status, body = self._answered[key]
            if known != print_:
                raise CallRefused(400, "idempotency_error", "The key was used otherwise.")
            return status, body
        try:
            status, body = 200, msgspec.json.encode(call(request, form))
        except CallRefused as refused:
            status, body = refused.status, _fault(refused)
        if len(self._answered) >= REMEMBERED_KEYS_MAX:
            del self._answered[next(iter(self._answered))]
        self._answered[key] = (print_, status, body)
        return status, body

    def _open(self, request: web.Request, form: Mapping[str, str]) -> PaymentObject:
        if form.get("mode") != "payment" or form.get(f"{_INTENT}[capture_method]") != "manual":
            raise CallRefused(400, "parameter_missing", "mode and capture_method.")
        payment = self.books.open_page(
            _number(form, f"{_PRICE}[unit_amount]"),
            form.get(f"{_PRICE}[currency]", ""),
            form.get("client_reference_id", ""),
            {
                name.removeprefix(f"{_INTENT}[metadata][")[:-1]: value
                for name, value in form.items()
                if name.startswith(f"{_INTENT}[metadata][")
            },
            _number(form, "expires_at"),
        )
        return payment.session(_page_url(request, payment))

    def _session(self, request: web.Request, _form: Mapping[str, str]) -> PaymentObject:
        payment = self.books.page(request.match_info["id"])
        return payment.session(_page_url(request, payment))

    def _capture(self, request: web.Request, _form: Mapping[str, str]) -> PaymentObject:
        return self.books.capture(request.match_info["id"]).intent()

    def _cancel(self, request: web.Request, _form: Mapping[str, str]) -> PaymentObject:
        return self.books.cancel(request.match_info["id"]).intent()

    # The page --------------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.Response:
        try:
            payment = self.books.page(request.match_info["id"])
        except CallRefused:
            raise web.HTTPNotFound from None
        amount = f"{payment.cents / 100:.2f} {payment.currency.upper()}"
        body = _PAGE.format(amount=html.escape(amount), status=html.escape(payment.page_status))
        return web.Response(text=body, content_type="text/html")

    async def _pay(self, request: web.Request) -> web.Response:
        """A card is entered: its name, as JSON or from the page's form."""
        if request.content_type == "application/json":
            card = msgspec.json.decode(await request.read(), type=dict[str, str]).get("card", "")
        else:
            card = str((await request.post()).get("card", ""))
        try:
            is_paid = self.books.enter_card(request.match_info["id"], card[:64])
        except CallRefused:
            raise web.HTTPNotFound from None
        return web.json_response({"held": is_paid}, status=200 if is_paid else 402)

    # For tests and operators -----------------------------------------------------------------

    async def _control(self, request: web.Request) -> web.Response:
        """Let something happen at the provider: see docs/money.md."""
        asked = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
        try:
            self._happen(request.match_info["what"], asked)
        except CallRefused as refused:
            return web.Response(status=refused.status, text=refused.message)
        return web.Response(status=204)

    def _happen(self, what: str, asked: dict[str, Any]) -> None:
        intent_id = str(asked.get("payment", ""))
        match what:
            case "clock":
                self.books.forward(float(asked["forward_seconds"]))
            case "review":
                self.books.close_review(intent_id, str(asked["reason"]))
            case "dispute":
                self.books.dispute(intent_id, str(asked["status"]))
            case "held":
                payment = self.books.paid(intent_id)
                payment.capturable = int(asked.get("cents", payment.capturable))
                payment.currency = str(asked.get("currency", payment.currency))
            case "capture":
                self.books.capture(intent_id)
            case "cancel":
                self.books.cancel(intent_id)
            case "faults":
                self._faults = int(asked.get("errors", 0))
                self._lost_answers = int(asked.get("lost_answers", 0))
            case _:
                raise CallRefused(404, "resource_missing", "Nothing of that kind happens.")

    async def _show(self, _request: web.Request) -> web.Response:
        """What was held and charged, to compare with the platform's books."""
        shown = [
            {
                "session": payment.session_id,
                "payment": payment.intent_id,
                "deposit": payment.reference,
                "status": payment.intent_status,
                "currency": payment.currency,
                "received": payment.received,
                "charges": payment.charge_count,
            }
            for payment in self.books.payments.values()
        ]
        return web.Response(body=msgspec.json.encode(shown), content_type="application/json")

    # Events ----------------------------------------------------------------------------------

    def _tell(self, kind: str, about: PaymentObject) -> None:
        if not self._options.payments_event_url or self._events.full():
            return
        self._number += 1
        event = {
            "id": f"evt_{int(time.time())}_{self._number}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "type": kind,
            "created": int(self.books.now()),
            "data": {"object": about},
            "livemode": False,
        }
        self._events.put_nowait(msgspec.json.encode(event))

    async def _send(self) -> None:
        while True:
            body = await self._events.get()
            for attempt in range(TRY_COUNT_MAX):
                if await self._post(body):
                    break
                await asyncio.sleep(0.2 * 2**attempt)

    async def _post(self, body: bytes) -> bool:
        headers = {
            "Content-Type": "application/json",
            "Stripe-Signature": signature(body, self._options.payments_event_secret, time.time()),
        }
        try:
            async with self._client().post(
                self._options.payments_event_url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=EVENT_SECONDS),
            ) as response:
                return response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


_Clients = Callable[[], aiohttp.ClientSession]


def signature(body: bytes, secret: str, at_seconds: float) -> str:
    """What the header of an event says: `t=…,v1=HMAC-SHA256("t.body")`."""
    signed = b"%d.%s" % (int(at_seconds), body)
    return f"t={int(at_seconds)},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def _fault(refused: CallRefused) -> bytes:
    kind = "card_error" if refused.status == 402 else "invalid_request_error"
    if refused.status >= 500:
        kind = "api_error"
    return msgspec.json.encode(
        {"error": {"type": kind, "code": refused.code, "message": refused.message}}
    )


def _number(form: Mapping[str, str], name: str) -> int:
    text = form.get(name, "")
    if not text.isdecimal() or len(text) > 18:
        raise CallRefused(400, "parameter_invalid_integer", f"{name}: a whole number.")
    return int(text)


def _page_url(request: web.Request, payment: SimulatedPayment) -> str:
    return f"{request.scheme}://{request.host}{PREFIX}/checkout/{payment.session_id}"


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Pay</title>
<h1>{amount}</h1><p>This page is {status}. It is a simulation: no card is charged.</p>
<form method="post"><label>Card <input name="card" value="visa one" maxlength="64"></label>
<button>Pay</button></form></html>
"""
