"""A vendor's API on the simulated carrier's HTTP port: orders in, answers, receipts and phones'
texts out, all by the carrier's one mood."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aiohttp
import msgspec
from aiohttp import web

from services.simulator import carrier, hang_up, moods, outbox
from services.simulator.vendors import speech
from shared.sms import encoding, segmentation

CALLS_MAX = 32
SILENCE_SECONDS = 600.0
_REFUSALS = (moods.Answer.REFUSE, moods.Answer.THROTTLE, moods.Answer.BUSY)


class _PhoneText(msgspec.Struct, rename={"recipient": "to", "source": "from"}):
    """What a phone sends, and to which number."""

    source: str
    recipient: str
    text: str


class VendorFace:
    """`outbox.Face` of one vendor, and its routes."""

    def __init__(
        self,
        shared: carrier.Carrier,
        vendor: speech.VendorSpeech,
        client: Callable[[], aiohttp.ClientSession],
    ) -> None:
        self._carrier = shared
        self._vendor = vendor
        self._client = client
        self._calls: set[asyncio.Task[None]] = set()
        self._inbound_count = 0

    @property
    def routes(self) -> Sequence[web.RouteDef]:
        """Where it takes orders, and where a test lets a phone send something."""
        name = self._vendor.system_id
        return [
            web.post(f"/{name}{self._vendor.path}", self._take),
            web.post(f"/{name}/phones", self._phone_sends),
        ]

    def start(self) -> None:
        """Hand over what is due from now on."""
        self._carrier.outbox.attach(self._vendor.system_id, self)

    async def close(self) -> None:
        """Give up the calls that are under way."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._vendor.knows(request, body, self._carrier.options.vendor_key):
            return _response(self._vendor.stranger())
        try:
            order = self._vendor.order(body)
        except speech.NotAnOrder:
            return _response(self._vendor.refused(moods.Answer.REFUSE))
        taken = self._carrier.take_parts(
            [self._submit(order, piece) for piece in order.pieces],
            have_one_id=self._vendor.parts_have_one_id,
        )
        await asyncio.sleep(taken[0].answer_seconds)
        return await self._respond(request, order, taken)

    def _submit(self, order: speech.VendorOrder, piece: speech.OrderPiece) -> carrier.Submit:
        name = self._vendor.system_id
        return carrier.Submit(name, name, order.source, order.recipient, *piece)

    async def _respond(
        self, request: web.Request, order: speech.VendorOrder, taken: Sequence[carrier.Taken]
    ) -> web.Response:
        mood = taken[0].mood.answer
        if mood in _REFUSALS:
            return _response(self._vendor.refused(mood))
        by_id = {self._vendor.message_id(each.message_id): each for each in reversed(taken)}
        message_ids = list(reversed(by_id))
        # All at once: who asks may hang up while the first is waited for.
        await asyncio.gather(*(self._owe(order, by_id[name], name) for name in message_ids))
        answered = _response(self._vendor.accepted(order, message_ids))
        if mood is moods.Answer.CUT:
            hang_up.within(request, answered, self._carrier.chance)
        if mood is moods.Answer.SILENCE:
            await asyncio.sleep(SILENCE_SECONDS)
        return answered

    async def _owe(self, order: speech.VendorOrder, taken: carrier.Taken, message_id: str) -> None:
        if not order.report_url or not taken.message_id:
            return
        ticket = msgspec.json.encode(speech.ReceiptTicket(order.report_url, message_id, order.name))
        named = taken._replace(submit=taken.submit._replace(reference=ticket))
        if taken.mood.answer is not moods.Answer.AFTER_RECEIPT:
            self._carrier.owe_receipt(named)
            return
        settled = asyncio.Event()
        self._carrier.owe_receipt(named, settled.set)
        await settled.wait()

    async def _phone_sends(self, request: web.Request) -> web.Response:
        """Let a phone send something now. It is open to whoever reaches the port, for it tells
        nothing; but no page in a browser may send it unasked."""
        if request.content_type != speech.JSON:
            return web.Response(status=415)
        try:
            sent = msgspec.json.decode(await request.read(), type=_PhoneText)
        except msgspec.DecodeError:
            return web.Response(status=400)
        chosen, payload = encoding.encode(sent.text)
        coding = segmentation.data_coding(chosen)
        name = self._vendor.system_id
        item = outbox.Inbound(name, sent.source, sent.recipient, coding, b"", payload)
        self._carrier.outbox.post(item, 0.0)
        return web.Response(status=202)

    def deliver(self, item: outbox.Item, settled: Callable[[outbox.Item, bool], None]) -> bool:
        """`outbox.Face`: one call of the vendor's."""
        if len(self._calls) >= CALLS_MAX:
            return False
        task = asyncio.get_running_loop().create_task(self._call(item, settled))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return True

    async def _call(self, item: outbox.Item, settled: Callable[[outbox.Item, bool], None]) -> None:
        url, words = self._words(item)
        headers = {"Content-Type": words.content_type, **words.headers}
        taken = False
        try:
            async with self._client().post(
                url, data=words.body, headers=headers, allow_redirects=False
            ) as response:
                taken = response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            taken = False
        settled(item, taken)

    def _words(self, item: outbox.Item) -> tuple[str, speech.SpokenWords]:
        wanted = self._carrier.options
        if isinstance(item, outbox.Receipt):
            ticket = msgspec.json.decode(item.reference, type=speech.ReceiptTicket)
            return ticket.url, self._vendor.report(item, ticket, wanted.vendor_key)
        self._inbound_count += 1
        url = wanted.vendor_inbound_url.replace("{vendor}", self._vendor.system_id)
        name = self._vendor.message_id(f"{self._inbound_count:016x}")
        return url, self._vendor.inbound(name, item, url, wanted.vendor_key)


def _response(words: speech.SpokenWords) -> web.Response:
    return web.Response(
        body=words.body,
        status=words.status,
        headers=dict(words.headers),
        content_type=words.content_type,
    )
