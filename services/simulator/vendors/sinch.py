"""Sinch's REST API of batches."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from services.simulator import moods, outbox
from services.simulator.vendors import speech

_STATUSES = {
    moods.Stat.DELIVRD: ("Delivered", 0),
    moods.Stat.UNDELIV: ("Failed", 404),
    moods.Stat.EXPIRED: ("Expired", 406),
    moods.Stat.REJECTD: ("Rejected", 408),
}


class _SmsBatch(msgspec.Struct, rename={"source": "from"}):
    """A batch, as far as it is looked at."""

    to: list[str]
    body: str
    source: str = ""
    callback_url: str = ""
    client_reference: str = ""
    max_number_of_message_parts: int = 255


class SinchSpeech:
    """`speech.VendorSpeech`, with the key as the plan's token and as that of its signatures."""

    system_id = "sinch"
    path = "/xms/v1/{plan}/batches"
    parts_have_one_id = True

    def __init__(self) -> None:
        self._cutter = speech.TextCutter()

    def knows(self, request: web.Request, body: bytes, key: str) -> bool:
        del body
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {key}".encode())

    def order(self, body: bytes) -> speech.VendorOrder:
        try:
            batch = msgspec.json.decode(body, type=_SmsBatch)
        except msgspec.DecodeError:
            raise speech.NotAnOrder from None
        pieces = self._cutter.cut(batch.body)
        if len(batch.to) != 1 or len(pieces) > batch.max_number_of_message_parts:
            raise speech.NotAnOrder
        return speech.VendorOrder(
            speech.international(batch.source),
            speech.international(batch.to[0]),
            pieces,
            batch.callback_url,
            batch.client_reference,
        )

    def message_id(self, number: str) -> str:
        return f"01{number.upper():0>24}"

    def accepted(self, order: speech.VendorOrder, message_ids: Sequence[str]) -> speech.SpokenWords:
        said = {
            "id": message_ids[0],
            "to": [order.recipient.removeprefix("+")],
            "from": order.source.removeprefix("+"),
            "canceled": False,
            "type": "mt_text",
            "client_reference": order.name,
        }
        return speech.json(said, 201)

    def refused(self, answer: moods.Answer) -> speech.SpokenWords:
        if answer is moods.Answer.THROTTLE:
            return speech.SpokenWords(b"", 429, headers={"Retry-After": "1"})
        said = {"code": "syntax_invalid_parameter_format", "text": "Invalid recipient"}
        return speech.json(said, 400)

    def stranger(self) -> speech.SpokenWords:
        return speech.SpokenWords(b"", 401)

    def report(
        self, receipt: outbox.Receipt, ticket: speech.ReceiptTicket, key: str
    ) -> speech.SpokenWords:
        status, code = _STATUSES[receipt.stat]
        said = {
            "type": "recipient_delivery_report_sms",
            "batch_id": ticket.message_id,
            "recipient": receipt.recipient,
            "code": code,
            "status": status,
            "client_reference": ticket.name,
            "at": datetime.now(UTC).isoformat(),
        }
        return _signed(ticket.message_id, said, key)

    def inbound(
        self, message_id: str, item: outbox.Inbound, url: str, key: str
    ) -> speech.SpokenWords:
        del url
        said = {
            "type": "mo_text",
            "id": message_id,
            "from": item.source.removeprefix("+"),
            "to": item.recipient.removeprefix("+"),
            "body": speech.text_of(item),
            "received_at": datetime.now(UTC).isoformat(),
        }
        return _signed(message_id, said, key)


def _signed(nonce: str, said: object, key: str) -> speech.SpokenWords:
    body, at = msgspec.json.encode(said), str(int(time.time()))
    over = body + f".{nonce}.{at}".encode()
    proof = base64.b64encode(hmac.new(key.encode(), over, hashlib.sha256).digest()).decode()
    name = "x-sinch-webhook-signature"
    headers = {
        name: proof,
        f"{name}-nonce": nonce,
        f"{name}-timestamp": at,
        f"{name}-algorithm": "HmacSHA256",
    }
    return speech.SpokenWords(body, 200, speech.JSON, headers)
