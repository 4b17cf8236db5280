"""The simulated carrier's HTTP side: a web API for submits, health, counters, the journal."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.simulator import (
    carrier,
    hang_up,
    journal,
    moods,
    outbox,
    payment_books,
    payment_face,
    smpp_face,
    vendors,
)
from shared.sms import encoding, segmentation

SYSTEM_ID = "http"
JOURNAL_PAGE = 1000
_ALWAYS_UP = ("/health", "/counters", "/journal", "/inbound", "/payments")
CALLBACKS_MAX = 32
CALLBACK_SECONDS = 10.0
SILENCE_SECONDS = 600.0
_JSON = "application/json"


class _Message(msgspec.Struct, rename={"recipient": "to", "source": "from"}):
    """A submit over HTTP: the part as text, or as hexadecimal of the payload and its header. Its
    receipt gives `reference` back."""

    recipient: str
    source: str
    text: str = ""
    payload_hex: str = ""
    udh_hex: str = ""
    encoding: encoding.Encoding = encoding.Encoding.GSM7
    reference: str = ""


class _Inbound(msgspec.Struct, rename={"recipient": "to", "source": "from"}):
    """What a phone sends, and to which number."""

    source: str
    recipient: str
    text: str

    def __post_init__(self) -> None:
        for number in (self.source, self.recipient):
            if not _ADDRESS.fullmatch(number):
                raise ValueError("from and to: expected a number, a short code or a name")


_ADDRESS = re.compile(r"\+?[A-Za-z0-9 ]{1,20}")


class _Page(msgspec.Struct):
    next: int
    entries: list[journal.Entry]


class HttpFace:
    """A web server over one carrier; receipts are posted to the callback URL, few at a time."""

    def __init__(self, shared: carrier.Carrier, smpp: smpp_face.SmppFace) -> None:
        self._carrier = shared
        self._smpp = smpp
        self._calls: set[asyncio.Task[None]] = set()
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=CALLBACK_SECONDS),
            connector=aiohttp.TCPConnector(limit=CALLBACKS_MAX),
        )
        self._payments = payment_face.PaymentFace(
            shared.options, self._for_operators, lambda: self._client
        )
        application = web.Application(client_max_size=64 * 1024, middlewares=[self._serve_or_cut])
        application.add_routes(self._payments.routes)
        self._vendors = vendors.faces(shared, lambda: self._client)
        application.add_routes([route for face in self._vendors for route in face.routes])
        application.add_routes(
            [
                web.get("/health/live", self._healthy),
                web.get("/health/ready", self._healthy),
                web.get("/counters", self._for_operators(self._count)),
                web.post("/counters/reset", self._for_operators(self._reset)),
                web.get("/journal", self._for_operators(self._tail)),
                web.post("/inbound", self._send_inbound),
                web.post("/http/messages", self._take),
            ]
        )
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )

    @property
    def payment_books(self) -> payment_books.PaymentBooks:
        """What the provider of card payments has held and charged."""
        return self._payments.books

    async def start(self) -> int:
        """Listen, and return the port."""
        wanted = self._carrier.options
        await self._runner.setup()
        site = web.TCPSite(self._runner, wanted.host, wanted.http_port)
        await site.start()
        self._carrier.outbox.attach(SYSTEM_ID, self)
        self._payments.start()
        for face in self._vendors:
            face.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Stop listening; calls under way are given up."""
        await self._runner.cleanup()
        await self._payments.close()
        for face in self._vendors:
            await face.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._client.close()

    def deliver(self, item: outbox.Item, settled: Callable[[outbox.Item, bool], None]) -> bool:
        """`outbox.Face`: one POST to the callback URL."""
        if len(self._calls) >= CALLBACKS_MAX:
            return False
        call = asyncio.get_running_loop().create_task(self._call(item, settled))
        self._calls.add(call)
        return True

    async def _call(self, item: outbox.Item, settled: Callable[[outbox.Item, bool], None]) -> None:
        wanted = self._carrier.options
        is_receipt = isinstance(item, outbox.Receipt)
        url = wanted.callback_url if is_receipt else wanted.inbound_url
        body = msgspec.json.encode(_told(item))
        signature = hmac.new(wanted.callback_secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": _JSON, "X-Signature": signature}
        taken = False
        try:
            async with self._client.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                taken = response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            taken = False
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._calls.discard(task)
        settled(item, taken)

    def _for_operators(self, handler: Handler) -> Handler:
        """The handler for whom the token tells from a neighbour on the machine."""
        token = self._carrier.options.token

        async def asked(request: web.Request) -> web.StreamResponse:
            if not token or not _is_bearer(request, token):
                return _answer({"error": "unauthorized"}, 401)
            return await handler(request)

        return asked

    @web.middleware
    async def _serve_or_cut(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """While the carrier is down it hangs up on whoever wants something of it."""
        if self._carrier.is_down and not request.path.startswith(_ALWAYS_UP):
            hang_up.at_once(request)
            raise web.HTTPServiceUnavailable
        return await handler(request)

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _count(self, _request: web.Request) -> web.Response:
        counts = self._carrier.counters
        shown = {
            **msgspec.structs.asdict(counts.total()),
            "receipts_waiting": self._carrier.outbox.waiting_count,
            "binds": self._smpp.bind_count,
            "journal": self._carrier.journal.count,
            "by_system_id": counts.by_system_id(),
        }
        return _answer(shown)

    async def _reset(self, _request: web.Request) -> web.Response:
        self._carrier.counters.reset()
        return web.Response(status=204)

    async def _tail(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal() or len(after) > 18:
            return _answer({"error": "after: expected a whole number"}, 400)
        position, entries = self._carrier.journal.after(int(after), JOURNAL_PAGE)
        return _answer(_Page(position, entries))

    async def _send_inbound(self, request: web.Request) -> web.Response:
        """Let a phone send something now, over SMPP. It is open to whoever reaches the port, for it
        tells nothing; but no page in a browser may send it unasked."""
        if request.content_type != _JSON:
            return _answer({"error": "unsupported_media_type"}, 415)
        if not self._smpp.system_id:
            return _answer({"error": "nobody_bound"}, 503)
        try:
            sent = msgspec.json.decode(await request.read(), type=_Inbound)
            part_count = self._carrier.phone_sends(
                self._smpp.system_id, sent.source, sent.recipient, sent.text
            )
        except (msgspec.DecodeError, ValueError) as error:
            return _answer({"error": "invalid_request", "detail": str(error)}, 400)
        return _answer({"parts": part_count}, 202)

    async def _take(self, request: web.Request) -> web.Response:
        if not _is_bearer(request, self._carrier.options.password):
            return _answer({"error": "unauthorized"}, 401)
        try:
            submit = _submit(msgspec.json.decode(await request.read(), type=_Message))
        except (msgspec.DecodeError, ValueError):
            return _answer({"error": "invalid_request"}, 400)
        taken = self._carrier.take(submit)
        await asyncio.sleep(taken.answer_seconds)
        return await self._respond(request, taken)

    async def _respond(self, request: web.Request, taken: carrier.Taken) -> web.Response:
        mood = taken.mood.answer
        if mood is moods.Answer.REFUSE:
            return _answer({"error": "invalid_recipient"}, 400)
        if mood is moods.Answer.BUSY:
            return _answer({"error": "recipient_busy"}, 409)
        if mood is moods.Answer.THROTTLE:
            return _answer({"error": "throttled"}, 429, {"Retry-After": "1"})
        settled = asyncio.Event()
        if self._carrier.options.callback_url:
            after = mood is moods.Answer.AFTER_RECEIPT
            self._carrier.owe_receipt(taken, settled.set if after else None)
            if after:
                await settled.wait()
        answered = _answer({"id": taken.message_id}, 202)
        if mood is moods.Answer.CUT:
            hang_up.within(request, answered, self._carrier.chance)
        if mood is moods.Answer.SILENCE:
            await asyncio.sleep(SILENCE_SECONDS)
        return answered


def _told(item: outbox.Item) -> dict[str, object]:
    """What a callback says of a receipt, or of a part of what a phone sent."""
    if isinstance(item, outbox.Receipt):
        return {
            "id": item.message_id,
            "status": item.stat,
            "error": "000" if item.stat is moods.Stat.DELIVRD else "001",
            "to": item.recipient,
            "reference": item.reference.decode(),
            "done_at": time.time(),
        }
    said: dict[str, object] = {
        "from": item.source,
        "to": item.recipient,
        "text": journal.text_of(item.payload, item.data_coding),
    }
    if part := segmentation.parse_udh(item.udh):
        said |= {"reference": part.reference, "total": part.total, "number": part.number}
    return said


def _is_bearer(request: web.Request, secret: str) -> bool:
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {secret}".encode())


def _submit(message: _Message) -> carrier.Submit:
    """Raises ValueError for what is not hexadecimal or cannot be encoded."""
    if message.payload_hex:
        coding, payload = message.encoding, bytes.fromhex(message.payload_hex)
    else:
        coding, payload = encoding.encode(message.text)
    data_coding = segmentation.data_coding(coding)
    udh = bytes.fromhex(message.udh_hex)
    return carrier.Submit(
        "http",
        SYSTEM_ID,
        message.source,
        message.recipient,
        data_coding,
        udh,
        payload,
        message.reference.encode(),
    )


def _answer(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, headers=headers, content_type=_JSON
    )
