"""Twilio's Messages API."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar
from urllib.parse import urlencode

from shared.carriers import contract
from shared.carriers.outcomes import OutcomeKind
from shared.sms import receipts
from tests.integration.carriers import stand_ins
from tests.integration.carriers.stand_ins import Act, Recorded, Report, Said, web

State = receipts.ReceiptState
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
_WORDS = {
    State.ENROUTE: ("sent", ""),
    State.DELIVERED: ("delivered", ""),
    State.UNDELIVERED: ("undelivered", "30003"),
    State.EXPIRED: ("undelivered", "30036"),
    State.REJECTED: ("failed", "30007"),
}


def _error(status: int, code: int) -> Said:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return web.json(
        status, {"code": code, "message": "canary", "more_info": more, "status": status}
    )


def _taken(sid: str, status: str = "queued") -> Said:
    return web.json(
        201,
        {
            "account_sid": ACCOUNT_SID,
            "body": stand_ins.TEXT,
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": "+15017122661",
            "num_media": "0",
            "num_segments": "1",
            "price": None,
            "price_unit": "USD",
            "sid": sid,
            "status": status,
            "to": stand_ins.RECIPIENT,
        },
    )


class TwilioStandIn(web.WebStandIn):
    unsaid = frozenset({State.UNKNOWN})
    signs = True
    not_let_in = _error(401, 20003)
    says: ClassVar[Mapping[Act, Said]] = {
        Act.ACCEPT: _taken(stand_ins.ID),
        Act.REJECT: _error(400, 21211),
        Act.DEFER: _error(400, 21611),
        Act.ELSEWHERE: _error(400, 21408),
        Act.HALT: _error(403, 20005),
        Act.THROTTLE: _error(429, 20429),
    }
    recorded: Sequence[Recorded] = (
        Recorded(_taken("SM" + "7" * 32, "accepted"), OutcomeKind.ACCEPTED, ""),
        Recorded(_error(400, 21610), OutcomeKind.REJECTED, "21610"),
        Recorded(_error(400, 21614), OutcomeKind.REJECTED, "21614"),
        Recorded(_error(400, 21606), OutcomeKind.ELSEWHERE, "21606"),
        Recorded(_error(400, 21612), OutcomeKind.ELSEWHERE, "21612"),
        Recorded(_error(429, 14107), OutcomeKind.THROTTLED, "14107"),
        Recorded(_error(404, 20404), OutcomeKind.HALTED, "20404"),
        Recorded(_error(400, 29999), OutcomeKind.REJECTED, "29999"),
        Recorded(_error(500, 20500), OutcomeKind.LOST, ""),
        Recorded(Said(502, b"<html>Bad Gateway</html>"), OutcomeKind.LOST, ""),
        Recorded(Said(503, b"", {"Retry-After": "1"}), OutcomeKind.THROTTLED, "503"),
        Recorded(web.json(201, {"status": "queued"}), OutcomeKind.LOST, ""),
        Recorded(Said(302, b"", {"Location": "/elsewhere"}), OutcomeKind.REJECTED, "302"),
    )

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            **web.DEADLINES,
            "api_url": f"http://127.0.0.1:{port or self.port}",
            "account_sid": ACCOUNT_SID,
            "auth_token": stand_ins.SECRET,
            "concatenation": "8bit",
            "callbacks_url": web.CALLBACKS_URL,
            **values,
        }

    def order(self, submit: bytes) -> stand_ins.Order:
        path = f"POST /2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json HTTP/1.1\r\n"
        login = base64.b64encode(f"{ACCOUNT_SID}:{stand_ins.SECRET}".encode())
        assert submit.startswith(path.encode())
        assert b"Authorization: Basic " + login in submit
        form = web.form_of(submit)
        assert form["StatusCallback"].startswith(f"{web.CALLBACKS_URL}/receipts?reference=")
        assert form["SmartEncoded"] == "false"
        return stand_ins.Order(form["From"].strip("+"), form["To"].strip("+"), form["Body"])

    def call(self, report: Report) -> contract.CallbackRequest:
        word, code = _WORDS[report.state]
        form = {
            "AccountSid": ACCOUNT_SID,
            "ApiVersion": "2010-04-01",
            "From": "+15017122661",
            "MessageSid": report.carrier_message_id,
            "MessageStatus": word,
            "SmsSid": report.carrier_message_id,
            "SmsStatus": word,
            "To": stand_ins.RECIPIENT,
            **({"ErrorCode": code} if code else {}),
        }
        query = {"reference": report.reference} if report.reference else {}
        return _signed("receipts", query, form, urlencode(form).encode())

    def proved(self, body: bytes) -> contract.CallbackRequest:
        return _signed("receipts", {}, {}, body)

    def phone_sends(self, source: str, recipient: str, text: str) -> contract.CallbackRequest:
        form = {
            "AccountSid": ACCOUNT_SID,
            "Body": text,
            "From": source,
            "MessageSid": "SM" + "9" * 32,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
            "To": recipient,
        }
        return _signed("inbound", {}, form, urlencode(form).encode())


def _signed(
    path: str, query: Mapping[str, str], form: Mapping[str, str], body: bytes
) -> contract.CallbackRequest:
    target = f"/carriers/{web.NAME}/{path}" + (f"?{urlencode(query)}" if query else "")
    over = web.PUBLIC_URL + target + "".join(name + form[name] for name in sorted(form))
    proof = hmac.new(stand_ins.SECRET.encode(), over.encode(), hashlib.sha1).digest()
    headers = {"X-Twilio-Signature": base64.b64encode(proof).decode()}
    kind = "application/x-www-form-urlencoded"
    return contract.CallbackRequest("", headers, query, kind, body, target=target)


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = TwilioStandIn()
    async with standing.listening():
        yield standing
