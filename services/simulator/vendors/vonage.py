"""Vonage's SMS API: it cuts texts, and answers and reports for each part."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from urllib.parse import parse_qsl

from aiohttp import web

from services.simulator import moods, outbox
from services.simulator.vendors import speech

_STATUSES = {
    moods.Stat.DELIVRD: ("delivered", "0"),
    moods.Stat.UNDELIV: ("failed", "3"),
    moods.Stat.EXPIRED: ("expired", "2"),
    moods.Stat.REJECTD: ("rejected", "6"),
}


class VonageSpeech:
    """`speech.VendorSpeech`, with the key as the account's secret and as that of its signatures."""

    system_id = "vonage"
    path = "/sms/json"
    parts_have_one_id = False

    def __init__(self) -> None:
        self._cutter = speech.TextCutter()

    def knows(self, request: web.Request, body: bytes, key: str) -> bool:
        del request
        given = _form(body).get("api_secret", "")
        return hmac.compare_digest(given.encode(), key.encode())

    def order(self, body: bytes) -> speech.VendorOrder:
        form = _form(body)
        if not form.get("to") or not form.get("from") or not form.get("text"):
            raise speech.NotAnOrder
        return speech.VendorOrder(
            speech.international(form["from"]),
            speech.international(form["to"]),
            self._cutter.cut(form["text"]),
            form.get("callback", ""),
            form.get("client-ref", ""),
        )

    def message_id(self, number: str) -> str:
        return number.upper()

    def accepted(self, order: speech.VendorOrder, message_ids: Sequence[str]) -> speech.SpokenWords:
        parts = [
            {
                "to": order.recipient.removeprefix("+"),
                "message-id": message_id,
                "status": "0",
                "remaining-balance": "3.14159265",
                "message-price": "0.03330000",
                "network": "20810",
                "client-ref": order.name,
            }
            for message_id in message_ids
        ]
        return speech.json({"message-count": str(len(parts)), "messages": parts})

    def refused(self, answer: moods.Answer) -> speech.SpokenWords:
        throttled = answer is moods.Answer.THROTTLE
        return _error("1", "Throughput Rate Exceeded") if throttled else _error("7", "Barred")

    def stranger(self) -> speech.SpokenWords:
        return _error("4", "Bad Credentials")

    def report(
        self, receipt: outbox.Receipt, ticket: speech.ReceiptTicket, key: str
    ) -> speech.SpokenWords:
        status, code = _STATUSES[receipt.stat]
        return _signed(
            {
                "msisdn": receipt.recipient.removeprefix("+"),
                "to": receipt.source.removeprefix("+"),
                "network-code": "20810",
                "messageId": ticket.message_id,
                "price": "0.03330000",
                "status": status,
                "err-code": code,
                "client-ref": ticket.name,
            },
            key,
        )

    def inbound(
        self, message_id: str, item: outbox.Inbound, url: str, key: str
    ) -> speech.SpokenWords:
        del url
        return _signed(
            {
                "msisdn": item.source.removeprefix("+"),
                "to": item.recipient.removeprefix("+"),
                "messageId": message_id,
                "text": speech.text_of(item),
                "type": "text",
            },
            key,
        )


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _error(status: str, text: str) -> speech.SpokenWords:
    part = {"status": status, "error-text": text}
    return speech.json({"message-count": "1", "messages": [part]})


def _signed(fields: dict[str, str], key: str) -> speech.SpokenWords:
    dated = fields | {"timestamp": str(int(time.time())), "nonce": fields["messageId"]}
    over = "".join(
        f"&{name}={dated[name].replace('&', '_').replace('=', '_')}" for name in sorted(dated)
    )
    sig = hmac.new(key.encode(), over.encode(), hashlib.sha256).hexdigest().upper()
    return speech.json(dated | {"sig": sig})
