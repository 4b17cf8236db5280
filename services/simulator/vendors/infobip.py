"""Infobip's SMS API: texts, and octets with a header."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from services.simulator import moods, outbox
from services.simulator.vendors import speech
from shared.sms import segmentation

_HAS_UDH = 0x40
_STATUSES = {
    moods.Stat.DELIVRD: (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"),
    moods.Stat.UNDELIV: (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
    moods.Stat.EXPIRED: (4, "EXPIRED", 15, "EXPIRED_EXPIRED"),
    moods.Stat.REJECTD: (5, "REJECTED", 10, "REJECTED_DND"),
}


class _SmsContent(msgspec.Struct, rename="camel"):
    text: str = ""
    hex: str = ""
    data_coding: int = 0
    esm_class: int = 0


class _SmsDestination(msgspec.Struct, rename="camel"):
    to: str
    message_id: str = ""


class _ReportAddress(msgspec.Struct):
    url: str = ""


class _SmsWebhooks(msgspec.Struct, rename="camel"):
    delivery: _ReportAddress = msgspec.field(default_factory=_ReportAddress)
    callback_data: str = ""


class _SmsMessage(msgspec.Struct):
    destinations: list[_SmsDestination]
    content: _SmsContent
    sender: str = ""
    webhooks: _SmsWebhooks = msgspec.field(default_factory=_SmsWebhooks)


class _SmsRequest(msgspec.Struct):
    messages: list[_SmsMessage]


class InfobipSpeech:
    """`speech.VendorSpeech`, with the key as the API key. Calls prove themselves by what stands in
    the address they go to."""

    system_id = "infobip"
    path = "/sms/3/messages"
    parts_have_one_id = False

    def __init__(self) -> None:
        self._cutter = speech.TextCutter()

    def knows(self, request: web.Request, body: bytes, key: str) -> bool:
        del body
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"App {key}".encode())

    def order(self, body: bytes) -> speech.VendorOrder:
        try:
            (message,) = msgspec.json.decode(body, type=_SmsRequest).messages
            (destination,) = message.destinations
            pieces = self._pieces(message.content)
        except (msgspec.DecodeError, ValueError):
            raise speech.NotAnOrder from None
        return speech.VendorOrder(
            speech.international(message.sender),
            speech.international(destination.to),
            pieces,
            message.webhooks.delivery.url,
            destination.message_id,
        )

    def _pieces(self, content: _SmsContent) -> list[speech.OrderPiece]:
        if not content.hex:
            return self._cutter.cut(content.text)
        octets, has_udh = bytes.fromhex(content.hex), bool(content.esm_class & _HAS_UDH)
        udh, payload = segmentation.detach_udh(octets) if has_udh else (b"", octets)
        return [speech.OrderPiece(content.data_coding, udh, payload)]

    def message_id(self, number: str) -> str:
        return number

    def accepted(self, order: speech.VendorOrder, message_ids: Sequence[str]) -> speech.SpokenWords:
        name = order.name or message_ids[0]
        return _answer(order.recipient, name, (1, "PENDING", 26, "PENDING_ACCEPTED"))

    def refused(self, answer: moods.Answer) -> speech.SpokenWords:
        if answer is moods.Answer.THROTTLE:
            return _error(429, "TOO_MANY_REQUESTS", {"Retry-After": "1"})
        return _answer("", "", (5, "REJECTED", 14, "REJECTED_DESTINATION"))

    def stranger(self) -> speech.SpokenWords:
        return _error(401, "UNAUTHORIZED")

    def report(
        self, receipt: outbox.Receipt, ticket: speech.ReceiptTicket, key: str
    ) -> speech.SpokenWords:
        del key
        result = {
            "messageId": ticket.name or ticket.message_id,
            "callbackData": ticket.name,
            "to": receipt.recipient.removeprefix("+"),
            "doneAt": datetime.now(UTC).isoformat(),
            "messageCount": 1,
            "status": _status(_STATUSES[receipt.stat]),
            "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR"},
        }
        return speech.json({"results": [result]})

    def inbound(
        self, message_id: str, item: outbox.Inbound, url: str, key: str
    ) -> speech.SpokenWords:
        del url, key
        text = speech.text_of(item)
        result = {
            "messageId": message_id,
            "from": item.source.removeprefix("+"),
            "to": item.recipient.removeprefix("+"),
            "text": text,
            "cleanText": text,
            "smsCount": 1,
            "receivedAt": datetime.now(UTC).isoformat(),
        }
        return speech.json({"results": [result], "messageCount": 1, "pendingMessageCount": 0})


def _status(said: tuple[int, str, int, str]) -> dict[str, object]:
    return dict(zip(("groupId", "groupName", "id", "name"), said, strict=True))


def _answer(recipient: str, name: str, status: tuple[int, str, int, str]) -> speech.SpokenWords:
    message = {
        "messageId": name,
        "destination": recipient.removeprefix("+"),
        "status": _status(status),
        "details": {"messageCount": 1},
    }
    return speech.json({"messages": [message]})


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> speech.SpokenWords:
    said = {"requestError": {"serviceException": {"messageId": code, "text": code}}}
    return speech.json(said, status, headers)
