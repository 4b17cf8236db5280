"""Sinch's REST API of batches."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import msgspec

from shared.carriers import contract
from shared.carriers.outcomes import OutcomeKind
from shared.sms import receipts, segmentation
from tests.integration.carriers import stand_ins
from tests.integration.carriers.stand_ins import Act, Recorded, Report, Said, web

State = receipts.ReceiptState
_WORDS = {
    State.ENROUTE: ("Dispatched", 401),
    State.DELIVERED: ("Delivered", 0),
    State.UNDELIVERED: ("Failed", 404),
    State.EXPIRED: ("Expired", 406),
    State.REJECTED: ("Rejected", 408),
    State.UNKNOWN: ("Unknown", 0),
}


def _error(status: int, code: str) -> Said:
    return web.json(status, {"code": code, "text": "canary"})


def _taken(batch_id: str) -> Said:
    return web.json(
        201,
        {
            "id": batch_id,
            "to": [stand_ins.RECIPIENT[1:]],
            "from": "Sluice",
            "canceled": False,
            "body": stand_ins.TEXT,
            "type": "mt_text",
            "created_at": "2026-11-26T10:00:00.000Z",
            "modified_at": "2026-11-26T10:00:00.000Z",
            "delivery_report": "per_recipient",
            "expire_at": "2026-11-29T10:00:00.000Z",
            "flash_message": False,
        },
    )


class SinchStandIn(web.WebStandIn):
    signs = True
    not_let_in = Said(401, b"")
    says: ClassVar[Mapping[Act, Said]] = {
        Act.ACCEPT: _taken(stand_ins.ID),
        Act.REJECT: _error(400, "syntax_invalid_parameter_format"),
        Act.ELSEWHERE: _error(403, "unknown_campaign"),
        Act.HALT: _error(402, "insufficient_balance"),
        Act.THROTTLE: Said(429, b""),
    }
    cannot = frozenset({Act.DEFER})
    recorded: Sequence[Recorded] = (
        Recorded(_taken("01FC66621XXXXX119Z8PMV1QPQ"), OutcomeKind.ACCEPTED, ""),
        Recorded(
            _error(400, "syntax_constraint_violation"),
            OutcomeKind.REJECTED,
            "syntax_constraint_violation",
        ),
        Recorded(
            _error(403, "missing_parameter_value"), OutcomeKind.REJECTED, "missing_parameter_value"
        ),
        Recorded(_error(401, "unauthorized"), OutcomeKind.HALTED, "unauthorized"),
        Recorded(_error(403, "forbidden"), OutcomeKind.HALTED, "forbidden"),
        Recorded(Said(404, b""), OutcomeKind.HALTED, "404"),
        Recorded(_error(400, "brand_new_code"), OutcomeKind.REJECTED, "brand_new_code"),
        Recorded(Said(500, b""), OutcomeKind.LOST, ""),
        Recorded(web.json(201, {"to": []}), OutcomeKind.LOST, ""),
    )

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            **web.DEADLINES,
            "api_url": f"http://127.0.0.1:{port or self.port}",
            "service_plan_id": "plan-1",
            "api_token": stand_ins.SECRET,
            "signature_secret": stand_ins.SECRET,
            "concatenation": "8bit",
            "callbacks_url": web.CALLBACKS_URL,
            **values,
        }

    def order(self, submit: bytes) -> stand_ins.Order:
        assert submit.startswith(b"POST /xms/v1/plan-1/batches HTTP/1.1\r\n")
        assert f"Authorization: Bearer {stand_ins.SECRET}\r\n".encode() in submit
        batch = msgspec.json.decode(web.body_of(submit))
        (recipient,) = batch["to"]
        assert batch["callback_url"] == f"{web.CALLBACKS_URL}/receipts"
        assert batch["delivery_report"] == "per_recipient"
        parts = segmentation.measure(batch["body"], 8).segment_count
        assert batch["max_number_of_message_parts"] == parts
        return stand_ins.Order(batch["from"], recipient, batch["body"])

    def call(self, report: Report) -> contract.CallbackRequest:
        word, code = _WORDS[report.state]
        return self.proved(
            msgspec.json.encode(
                {
                    "at": "2026-11-26T10:00:01.000Z",
                    "batch_id": report.carrier_message_id,
                    "code": code,
                    "number_of_message_parts": 1,
                    "operator_status_at": "2026-11-26T10:00:00Z",
                    "recipient": stand_ins.RECIPIENT,
                    "status": word,
                    "type": "recipient_delivery_report_sms",
                    **({"client_reference": report.reference} if report.reference else {}),
                }
            )
        )

    def proved(self, body: bytes) -> contract.CallbackRequest:
        over = body + b".01FJA8B4A7BM43YGWSG9GBV067.1634579353"
        proof = hmac.new(stand_ins.SECRET.encode(), over, hashlib.sha256).digest()
        headers = {
            "x-sinch-webhook-signature-timestamp": "1634579353",
            "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
            "x-sinch-webhook-signature-algorithm": "HmacSHA256",
            "x-sinch-webhook-signature": base64.b64encode(proof).decode(),
        }
        return contract.CallbackRequest("", headers, {}, "application/json", body)

    def phone_sends(self, source: str, recipient: str, text: str) -> contract.CallbackRequest:
        return self.proved(
            msgspec.json.encode(
                {
                    "body": text,
                    "from": source[1:],
                    "id": "01XXXXX21XXXXX119Z8P1XXXXX",
                    "operator_id": "20810",
                    "received_at": "2026-11-26T10:00:01.000Z",
                    "sent_at": "2026-11-26T10:00:00.000Z",
                    "to": recipient[1:],
                    "type": "mo_text",
                }
            )
        )


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = SinchStandIn()
    async with standing.listening():
        yield standing
