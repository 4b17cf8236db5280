"""Vonage's SMS API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import msgspec

from shared.carriers import contract
from shared.carriers.outcomes import OutcomeKind
from shared.sms import encoding, receipts
from tests.integration.carriers import stand_ins
from tests.integration.carriers.stand_ins import Act, Recorded, Report, Said, web

State = receipts.ReceiptState
_WORDS = {
    State.ENROUTE: ("buffered", "0"),
    State.DELIVERED: ("delivered", "0"),
    State.UNDELIVERED: ("failed", "3"),
    State.EXPIRED: ("expired", "2"),
    State.REJECTED: ("rejected", "6"),
    State.UNKNOWN: ("unknown", "1"),
}


def _part(message_id: str) -> dict[str, str]:
    return {
        "to": stand_ins.RECIPIENT[1:],
        "message-id": message_id,
        "status": "0",
        "remaining-balance": "3.14159265",
        "message-price": "0.03330000",
        "network": "20810",
    }


def _refusal(status: int) -> Said:
    part = {"status": str(status), "error-text": "canary"}
    return web.json(200, {"message-count": "1", "messages": [part]})


def _taken(*message_ids: str) -> Said:
    parts = [_part(each) for each in message_ids]
    return web.json(200, {"message-count": str(len(parts)), "messages": parts})


class VonageStandIn(web.WebStandIn):
    not_let_in = _refusal(4)
    says: ClassVar[Mapping[Act, Said]] = {
        Act.ACCEPT: _taken(stand_ins.ID),
        Act.REJECT: _refusal(7),
        Act.ELSEWHERE: _refusal(6),
        Act.HALT: _refusal(9),
        Act.THROTTLE: _refusal(1),
        Act.THROTTLE_FOR: Said(429, b"", {"Retry-After": str(stand_ins.WISH_MS // 1000)}),
    }
    cannot = frozenset({Act.DEFER})
    recorded: Sequence[Recorded] = (
        Recorded(_taken("0A0000000123ABCD1"), OutcomeKind.ACCEPTED, ""),
        Recorded(_refusal(2), OutcomeKind.REJECTED, "2"),
        Recorded(_refusal(5), OutcomeKind.LOST, "5"),
        Recorded(_refusal(8), OutcomeKind.HALTED, "8"),
        Recorded(_refusal(12), OutcomeKind.REJECTED, "12"),
        Recorded(_refusal(15), OutcomeKind.ELSEWHERE, "15"),
        Recorded(_refusal(29), OutcomeKind.ELSEWHERE, "29"),
        Recorded(_refusal(99), OutcomeKind.REJECTED, "99"),
        Recorded(Said(400, b'{"error_title": "canary"}'), OutcomeKind.REJECTED, "400"),
        Recorded(Said(401, b""), OutcomeKind.HALTED, "401"),
        Recorded(Said(500, b""), OutcomeKind.LOST, ""),
        Recorded(web.json(200, {"message-count": "0", "messages": []}), OutcomeKind.LOST, ""),
        Recorded(Said(200, b"<xml/>"), OutcomeKind.LOST, ""),
    )

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            **web.DEADLINES,
            "api_url": f"http://127.0.0.1:{port or self.port}",
            "api_key": "a1b2c3d4",
            "api_secret": stand_ins.SECRET,
            "signature_secret": stand_ins.SECRET,
            "concatenation": "8bit",
            "callbacks_url": web.CALLBACKS_URL,
            **values,
        }

    def order(self, submit: bytes) -> stand_ins.Order:
        assert submit.startswith(b"POST /sms/json HTTP/1.1\r\n")
        form = web.form_of(submit)
        assert (form["api_key"], form["api_secret"]) == ("a1b2c3d4", stand_ins.SECRET)
        assert form["callback"] == f"{web.CALLBACKS_URL}/receipts"
        assert form["type"] == ("text" if encoding.encode(form["text"])[0] == "gsm7" else "unicode")
        return stand_ins.Order(form["from"], form["to"], form["text"])

    def call(self, report: Report) -> contract.CallbackRequest:
        word, code = _WORDS[report.state]
        return _signed(
            {
                "api-key": "a1b2c3d4",
                "err-code": code,
                "message-timestamp": "2026-11-26 10:00:00",
                "messageId": report.carrier_message_id,
                "msisdn": stand_ins.RECIPIENT[1:],
                "network-code": "20810",
                "nonce": "aaaaaaaa-bbbb-cccc-dddd",
                "price": "0.03330000",
                "scts": "2611261000",
                "status": word,
                "timestamp": "1795687200",
                "to": "Sluice & = Co",
                **({"client-ref": report.reference} if report.reference else {}),
            }
        )

    def forged(self, right: contract.CallbackRequest) -> Sequence[contract.CallbackRequest]:
        fields = msgspec.json.decode(right.body)
        lies: Sequence[Mapping[str, object]] = (
            {"status": "rejected"},
            {"sig": ""},
            {"sig": 5},
            {"sig": None, "status": {}},
            {"messageId": "other"},
            {"more": "1"},
        )
        return [replace(right, body=msgspec.json.encode({**fields, **lie})) for lie in lies]

    def proved(self, body: bytes) -> contract.CallbackRequest:
        return contract.CallbackRequest("", {}, {}, "application/json", body)

    def phone_sends(self, source: str, recipient: str, text: str) -> contract.CallbackRequest:
        return _signed(
            {
                "api-key": "a1b2c3d4",
                "keyword": "ANY",
                "message-timestamp": "2026-11-26 10:00:00",
                "messageId": "0B00000000000001",
                "msisdn": source[1:],
                "text": text,
                "to": recipient[1:],
                "type": "text",
            }
        )


def _signed(fields: dict[str, str]) -> contract.CallbackRequest:
    over = ""
    for name in sorted(fields):
        over += f"&{name}=" + fields[name].replace("&", "_").replace("=", "_")
    sig = hmac.new(stand_ins.SECRET.encode(), over.encode(), hashlib.sha256).hexdigest().upper()
    body = msgspec.json.encode({**fields, "sig": sig})
    return contract.CallbackRequest("", {}, {}, "application/json", body)


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = VonageStandIn()
    async with standing.listening():
        yield standing
