"""Twilio's Messages API."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

import yarl
from aiohttp import web

from services.simulator import moods, outbox
from services.simulator.vendors import speech

_STATUSES = {
    moods.Stat.DELIVRD: ("delivered", ""),
    moods.Stat.UNDELIV: ("undelivered", "30003"),
    moods.Stat.EXPIRED: ("undelivered", "30036"),
    moods.Stat.REJECTD: ("failed", "30007"),
}


class TwilioSpeech:
    """`speech.VendorSpeech`, under basic auth of any account's SID with the key as its token."""

    system_id = "twilio"
    path = "/2010-04-01/Accounts/{account}/Messages.json"
    parts_have_one_id = True

    def __init__(self) -> None:
        self._cutter = speech.TextCutter()

    def knows(self, request: web.Request, body: bytes, key: str) -> bool:
        del body
        right = base64.b64encode(f"{request.match_info['account']}:{key}".encode()).decode()
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Basic {right}".encode())

    def order(self, body: bytes) -> speech.VendorOrder:
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        if not form.get("To") or not (form.get("From") or form.get("MessagingServiceSid")):
            raise speech.NotAnOrder
        return speech.VendorOrder(
            form.get("From", ""),
            form["To"],
            self._cutter.cut(form.get("Body", "")),
            form.get("StatusCallback", ""),
            "",
        )

    def message_id(self, number: str) -> str:
        return f"SM{number:0>32}"

    def accepted(self, order: speech.VendorOrder, message_ids: Sequence[str]) -> speech.SpokenWords:
        said = {
            "sid": message_ids[0],
            "status": "queued",
            "from": order.source,
            "to": order.recipient,
            "error_code": None,
            "error_message": None,
        }
        return speech.json(said, 201)

    def refused(self, answer: moods.Answer) -> speech.SpokenWords:
        if answer is moods.Answer.THROTTLE:
            return _error(429, 20429, "Too Many Requests", {"Retry-After": "1"})
        return _error(400, 21211, "Invalid 'To' Phone Number")

    def stranger(self) -> speech.SpokenWords:
        return _error(401, 20003, "Authenticate")

    def report(
        self, receipt: outbox.Receipt, ticket: speech.ReceiptTicket, key: str
    ) -> speech.SpokenWords:
        status, code = _STATUSES[receipt.stat]
        form = {
            "MessageSid": ticket.message_id,
            "MessageStatus": status,
            "SmsSid": ticket.message_id,
            "SmsStatus": status,
            "From": receipt.source,
            "To": receipt.recipient,
            "ApiVersion": "2010-04-01",
        }
        return _signed(ticket.url, form | ({"ErrorCode": code} if code else {}), key)

    def inbound(
        self, message_id: str, item: outbox.Inbound, url: str, key: str
    ) -> speech.SpokenWords:
        form = {
            "MessageSid": message_id,
            "SmsStatus": "received",
            "From": item.source,
            "To": item.recipient,
            "Body": speech.text_of(item),
            "NumSegments": "1",
            "NumMedia": "0",
            "ApiVersion": "2010-04-01",
        }
        return _signed(url, form, key)


def _signed(url: str, form: Mapping[str, str], key: str) -> speech.SpokenWords:
    over = str(yarl.URL(url, encoded=True).with_user(None)) + "".join(
        name + form[name] for name in sorted(form)
    )
    proof = base64.b64encode(hmac.new(key.encode(), over.encode(), hashlib.sha1).digest())
    headers = {"X-Twilio-Signature": proof.decode()}
    return speech.SpokenWords(urlencode(form).encode(), 200, speech.FORM, headers)


def _error(
    status: int, code: int, message: str, headers: Mapping[str, str] | None = None
) -> speech.SpokenWords:
    more = f"https://www.twilio.com/docs/errors/{code}"
    said = {"code": code, "message": message, "more_info": more, "status": status}
    return speech.json(said, status, headers)
